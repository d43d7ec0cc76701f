package web

import (
	"html/template"
	"strconv"
	"strings"
)

// nameFault is the key of the only fault of a ScanScreen that is one of the name.
const nameFault = "page_error_name"

// personFault is the key of the only fault of a SignUpScreen that is one of the name.
const personFault = "page_error_person"

// describeMore is describe for links, enrolments and answers to other sites.
func (s *screen) describeMore(of any) string {
	switch v := of.(type) {
	case LinkScreen:
		s.Title, s.Lead, s.Fault = s.T("page_address_title"), s.T("page_link_lead"), v.Fault
		return "link"
	case ShownScreen:
		s.Title, s.Lead = s.T("page_link_code_title"), s.T("page_link_code_lead")
		return "shown"
	case IntroScreen:
		s.Title, s.Lead, s.Fault = s.T("page_enroll_intro_title"), s.T("page_enroll_intro_lead"), v.Fault
		return "intro"
	case ScanScreen:
		s.Title, s.Lead, s.Fault = s.T("page_enroll_scan_title"), s.T("page_enroll_scan_lead"), v.Fault
		return "scan"
	case AppsScreen:
		s.Title, s.Fault = s.T("page_enroll_title"), v.Fault
		if len(v.Apps) == 0 {
			s.Lead = s.T("page_enroll_none")
		}
		return "apps"
	case PostScreen:
		s.Title = s.T("page_return")
		return "post"
	case CodesScreen:
		s.Title, s.Lead = s.T("page_codes_new_title"), s.T("page_codes_new_lead")
		return "codes"
	}
	return s.describeSignIn(of)
}

// Link is the address that opens an authenticator app. html/template knows no addresses of
// that kind; this one is made by the service, and is escaped as every attribute.
func (s screen) Link() template.URL {
	v, _ := s.S.(ScanScreen)
	return template.URL(v.URI) //nolint:gosec // made by the service
}

// Since is when an app was added: a date that reads alike in every language.
func (s screen) Since(a App) string {
	return s.dated("page_enroll_since", a.Since)
}

// CodesLeft is how many recovery codes are left.
func (s screen) CodesLeft() string {
	left := 0
	switch v := s.S.(type) {
	case AppsScreen:
		if left = v.CodesLeft; v.NewCodes {
			return s.T("page_codes_made")
		}
	case AccountScreen:
		left = v.CodesLeft
	}
	if left == 0 {
		return s.T("page_codes_none")
	}
	return s.texts.Text("page_codes_left", map[string]string{"left": strconv.Itoa(left)})
}

// File is the text of the file with the recovery codes.
func (s screen) File() string {
	v, _ := s.S.(CodesScreen)
	return s.Look.Brand + "\n" + s.T("page_codes_title") + "\n\n" + strings.Join(v.Codes, "\n") + "\n"
}

// All is the recovery codes for the clipboard.
func (s screen) All() string {
	v, _ := s.S.(CodesScreen)
	return strings.Join(v.Codes, "\n")
}
