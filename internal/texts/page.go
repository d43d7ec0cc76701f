package texts

// pageKeys are the texts of pages: see [Catalogue.Page]. Each must have exactly these
// placeholders.
var pageKeys = map[string][]string{
	"page_address_title":          nil,
	"page_address_lead":           nil,
	"page_address_lead_phone":     nil,
	"page_address_lead_email":     nil,
	"page_address_label":          nil,
	"page_address_label_phone":    nil,
	"page_address_label_email":    nil,
	"page_country_label":          nil,
	"page_country_none":           nil,
	"page_country_hint":           nil,
	"page_send":                   nil,
	"page_code_title_sms":         nil,
	"page_code_title_whatsapp":    nil,
	"page_code_title_call":        nil,
	"page_code_title_email":       nil,
	"page_code_lead_sms":          {"to"},
	"page_code_lead_whatsapp":     {"to"},
	"page_code_lead_call":         {"to"},
	"page_code_lead_email":        {"to"},
	"page_code_label":             nil,
	"page_code_expires":           {"minutes"},
	"page_code_expired":           nil,
	"page_shared":                 nil,
	"page_continue":               nil,
	"page_not_received":           nil,
	"page_other_way":              nil,
	"page_help_title":             nil,
	"page_help_lead":              nil,
	"page_resend":                 nil,
	"page_resend_wait":            {"seconds"},
	"page_new_code":               nil,
	"page_by_sms":                 nil,
	"page_by_whatsapp":            nil,
	"page_by_call":                nil,
	"page_by_email":               nil,
	"page_use_app":                nil,
	"page_use_recovery":           nil,
	"page_use_message":            nil,
	"page_change_address":         nil,
	"page_app_title":              nil,
	"page_app_lead":               {"brand"},
	"page_recovery_title":         nil,
	"page_recovery_lead":          nil,
	"page_recovery_label":         nil,
	"page_sent_again":             nil,
	"page_new_code_sent":          nil,
	"page_payment":                nil,
	"page_amount":                 nil,
	"page_payee":                  nil,
	"page_payment_check":          nil,
	"page_cancel":                 nil,
	"page_back":                   nil,
	"page_return":                 {"brand"},
	"page_try_again":              nil,
	"page_privacy":                nil,
	"page_terms":                  nil,
	"page_support":                nil,
	"page_error_heading":          nil,
	"page_error_wrong":            {"left"},
	"page_error_wrong_app":        nil,
	"page_error_wrong_recovery":   nil,
	"page_error_replaced":         nil,
	"page_error_form":             nil,
	"page_error_form_app":         nil,
	"page_error_form_recovery":    nil,
	"page_error_used":             nil,
	"page_error_expired":          nil,
	"page_error_exhausted":        nil,
	"page_error_locked":           {"wait"},
	"page_error_sends":            {"wait"},
	"page_error_soon":             {"seconds"},
	"page_error_empty":            nil,
	"page_error_phone":            nil,
	"page_error_email":            nil,
	"page_error_country":          nil,
	"page_error_refused":          nil,
	"page_error_unreachable":      nil,
	"page_error_provider":         nil,
	"page_error_failure":          nil,
	"page_wait_minutes":           {"minutes"},
	"page_wait_hours":             {"hours"},
	"page_end_done_title":         nil,
	"page_end_done_lead":          {"brand"},
	"page_end_canceled_title":     nil,
	"page_end_canceled_lead":      {"brand"},
	"page_end_denied_title":       nil,
	"page_end_denied_lead":        nil,
	"page_end_failed_title":       nil,
	"page_end_failed_lead":        {"brand"},
	"page_end_expired_title":      nil,
	"page_end_expired_lead":       {"brand"},
	"page_end_browser_title":      nil,
	"page_end_browser_lead":       {"brand"},
	"page_end_cookies_title":      nil,
	"page_end_cookies_lead":       nil,
	"page_end_link_title":         nil,
	"page_end_link_lead":          nil,
	"page_link_lead":              {"brand"},
	"page_link_code_title":        nil,
	"page_link_code_lead":         nil,
	"page_end_link_shown_title":   nil,
	"page_end_link_shown_lead":    nil,
	"page_end_link_expired_title": nil,
	"page_end_link_expired_lead":  nil,
	"page_enroll_intro_title":     nil,
	"page_enroll_intro_lead":      nil,
	"page_enroll_title":           nil,
	"page_enroll_none":            nil,
	"page_enroll_since":           {"date"},
	"page_enroll_new":             nil,
	"page_enroll_removed":         nil,
	"page_enroll_add":             nil,
	"page_enroll_remove":          nil,
	"page_enroll_keep":            nil,
	"page_enroll_scan_title":      nil,
	"page_enroll_scan_lead":       nil,
	"page_enroll_qr":              nil,
	"page_enroll_open":            nil,
	"page_enroll_manual":          nil,
	"page_enroll_manual_lead":     nil,
	"page_enroll_name_label":      nil,
	"page_enroll_name_hint":       nil,
	"page_enroll_confirmed":       nil,
	"page_enroll_unsaved":         nil,
	"page_enroll_save":            {"brand"},
	"page_codes_title":            nil,
	"page_codes_about":            nil,
	"page_codes_left":             {"left"},
	"page_codes_none":             nil,
	"page_codes_make":             nil,
	"page_codes_made":             nil,
	"page_codes_new_title":        nil,
	"page_codes_new_lead":         nil,
	"page_codes_copy":             nil,
	"page_codes_copied":           nil,
	"page_codes_print":            nil,
	"page_codes_download":         nil,
	"page_codes_shown":            nil,
	"page_end_saved_title":        nil,
	"page_end_saved_lead":         {"brand"},
	"page_end_unchanged_title":    nil,
	"page_end_unchanged_lead":     {"brand"},
	"page_error_old_qr":           nil,
	"page_error_name":             nil,
	"page_error_apps":             nil,
	"page_error_codes":            {"wait"},

	"page_signin_title":             nil,
	"page_quiet_title":              nil,
	"page_quiet_lead":               {"to"},
	"page_quiet_lead_email":         {"to"},
	"page_second_title":             nil,
	"page_second_lead":              nil,
	"page_second_send":              {"to"},
	"page_consent_title":            {"brand"},
	"page_consent_lead":             {"brand"},
	"page_consent_id":               nil,
	"page_consent_name":             nil,
	"page_consent_none":             nil,
	"page_consent_allow":            nil,
	"page_account_title":            nil,
	"page_account_new":              nil,
	"page_account_removed":          {"wait"},
	"page_account_undo":             nil,
	"page_add_phone":                nil,
	"page_add_email":                nil,
	"page_change_phone":             nil,
	"page_change_email":             nil,
	"page_account_apps":             nil,
	"page_account_sessions":         {"count"},
	"page_account_saved":            nil,
	"page_signout":                  nil,
	"page_signout_all":              nil,
	"page_signout_title":            nil,
	"page_signout_lead":             nil,
	"page_erase":                    nil,
	"page_erase_title":              nil,
	"page_erase_lead":               nil,
	"page_end_signin_request_title": nil,
	"page_end_signin_request_lead":  nil,
	"page_end_signin_expired_title": nil,
	"page_end_signin_expired_lead":  nil,
	"page_end_signed_out_title":     nil,
	"page_end_signed_out_lead":      nil,
	"page_end_account_erased_title": nil,
	"page_end_account_erased_lead":  nil,
	"page_end_signin_none_title":    nil,
	"page_end_signin_none_lead":     nil,
	"page_error_taken":              nil,
	"page_error_changes":            {"wait"},
	"page_error_fresh":              nil,
}

// pagePrefix begins the keys of the texts of pages.
const pagePrefix = "page_"

// PageTexts are the texts of pages in one language.
type PageTexts struct {
	// Tag is the language (BCP 47). It is written from right to left if RightToLeft is true.
	Tag         string
	RightToLeft bool

	words, english *wording
}

// Page returns the texts of pages for a locale, in English if there is no better language, or
// if an operator's file for a language of its own has none of them.
func (c *Catalogue) Page(locale string) PageTexts {
	w, english := c.wording(locale), c.wording(English)
	if !w.hasPages() {
		w = english
	}
	return PageTexts{Tag: w.tag, RightToLeft: w.rightToLeft, words: w, english: english}
}

func (w *wording) hasPages() bool {
	for key := range pageKeys {
		if _, ok := w.texts[key]; ok {
			return true
		}
	}
	return false
}

// Text returns a text with its values. A text that an operator's file does not have is in
// English. The result is no HTML: who puts it into a page has to escape it.
func (p PageTexts) Text(key string, v map[string]string) string {
	w := p.words
	if _, ok := w.texts[key]; !ok {
		w = p.english
	}
	isolated := make(values, len(v))
	for name, value := range v {
		isolated[name] = isolate(value, w.rightToLeft)
	}
	return expand(w.chat(key), isolated)
}
