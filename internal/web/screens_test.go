package web_test

import (
	"html/template"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/qr"
	"twofa/internal/testing/browser"
	"twofa/internal/texts"
	"twofa/internal/web"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

var look = web.Look{
	Brand: "Acme Bank", Color: "#0b5fff",
	Privacy: "https://bank.example/privacy", Terms: "https://bank.example/terms", Support: "mailto:help@bank.example",
}

func form(action string) web.Form {
	return web.Form{Action: "/verify/check/" + action, Token: "sealed-token", Once: "once-" + action}
}

func formOf(action string) *web.Form {
	f := form(action)
	return &f
}

// screens returns every screen in all its states, by name.
func screens() map[string]any {
	payment := web.Payment{Amount: "EUR 1,250.00", Payee: "Bike Shop Ltd."}
	address := web.AddressScreen{Form: form("send"), Phones: true, Emails: true, Country: "DE", Cancel: form("cancel")}
	addressWrong := address
	addressWrong.Value, addressWrong.Back = "0171 12", "/verify/check?t=x"
	addressWrong.Fault = &web.Fault{Key: "page_error_phone", Field: true}
	phones := address
	phones.Emails, phones.Payment = false, payment
	emails := address
	emails.Phones = false
	code := web.CodeScreen{
		Form: form("code"), Way: web.WayMessage, Channel: channel.SMS, To: "+49******4567", Digits: true, Length: 6,
		ExpiresAt: now.Add(10 * time.Minute), AskShared: true, HelpForm: formOf("help"), Cancel: form("cancel"),
	}
	pay := code
	pay.Payment = payment
	wrong := pay
	wrong.Fault = &web.Fault{Key: "page_error_wrong", Values: map[string]string{"left": "4"}, Field: true}
	notice := code
	notice.Channel, notice.To, notice.Notice = channel.Email, "a******@example.com", "page_sent_again"
	dead := code
	dead.Channel, dead.NewCode, dead.Fault = channel.WhatsApp, formOf("new"), &web.Fault{Key: "page_error_exhausted"}
	expired := code
	expired.Channel, expired.NewCode = channel.Call, formOf("new")
	letters := code
	letters.Digits, letters.Length = false, 10
	app := web.CodeScreen{Form: form("app"), Way: web.WayApp, Digits: true, Length: 6, Help: "/verify/check/help?t=x", Cancel: form("cancel")}
	recovery := web.CodeScreen{
		Form: form("recovery"), Way: web.WayRecovery, Help: "/verify/check/help?t=x", Cancel: form("cancel"),
		Fault: &web.Fault{Key: "page_error_wrong_recovery", Field: true},
	}
	help := web.HelpScreen{
		Resend: formOf("resend"), ResendAfter: now.Add(24 * time.Second), Channel: channel.SMS, To: "+49******4567",
		Others: []web.ChannelForm{{channel.WhatsApp, form("resend")}, {channel.Call, form("resend")}, {channel.Email, form("resend")}},
		App:    "/verify/check/app?t=x", Recovery: "/verify/check/recovery?t=x", Address: "/verify/check/address?t=x", Back: "/verify/check?t=x",
		Cancel: form("cancel"),
	}
	helpNew := web.HelpScreen{NewCode: formOf("new"), Back: "/verify/check?t=x", Cancel: form("cancel"), Fault: &web.Fault{Key: "page_error_sends", Values: map[string]string{"wait": "7 h"}}}
	all := map[string]any{
		"address": address, "address-wrong": addressWrong, "address-phones": phones, "address-emails": emails,
		"code": code, "code-pay": pay, "code-wrong": wrong, "code-notice": notice, "code-dead": dead, "code-expired": expired, "code-letters": letters,
		"app": app, "recovery": recovery, "help": help, "help-new": helpNew,
	}
	maps.Copy(all, enrollScreens(payment))
	maps.Copy(all, signInScreens())
	for _, reason := range []string{"saved", "unchanged", "link_shown", "link_expired", "done", "canceled", "denied", "failed", "expired", "browser", "cookies", "link", "signin_request", "signin_expired", "signed_out", "account_erased", "signin_none"} {
		end := web.EndScreen{Reason: reason, Good: reason == "done" || reason == "saved" || reason == "signed_out" || reason == "account_erased"}
		switch reason {
		case "cookies":
			end.Again = "/verify/check?t=x"
		case "browser", "link", "link_shown", "link_expired", "signin_request", "signin_expired", "signed_out", "account_erased", "signin_none":
		default:
			end.Return = "https://bank.example/2fa/done?session=PS1&result=abc"
		}
		all["end-"+reason] = end
	}
	return all
}

// enrollScreens are those of links and enrolments.
func enrollScreens(payment web.Payment) map[string]any {
	of := func(action string) web.Form {
		return web.Form{Action: "/verify/enroll/" + action, Token: "sealed-token", Once: "once-" + action}
	}
	uri := "otpauth://totp/Acme%20Bank:alice?algorithm=SHA1&digits=6&issuer=Acme%20Bank&period=30&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	svg, err := qr.SVG(uri, "QR code")
	if err != nil {
		panic(err)
	}
	scan := web.ScanScreen{
		Form: of("app"), QR: template.HTML(svg), URI: uri, Key: "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP", Name: "Authenticator", //nolint:gosec // ours
		Back: "/verify/enroll?t=x", Cancel: of("cancel"),
	}
	wrong, name, long := scan, scan, scan
	wrong.Fault = &web.Fault{Key: "page_error_wrong_app", Field: true}
	name.Fault, name.Name = &web.Fault{Key: "page_error_name", Field: true}, strings.Repeat("W", 64)
	long.QR, long.Fault = "", &web.Fault{Key: "page_error_old_qr"}
	none := web.AppsScreen{Add: formOf("add"), Codes: of("codes"), Save: of("save"), Cancel: of("cancel")}
	none.Add.Action = "/verify/enroll/add"
	apps := none
	apps.Apps = []web.App{
		{ID: "TA0", Name: "Old phone", Since: now, Remove: of("remove"), Keep: of("keep")},
		{ID: "TA1", Name: strings.Repeat("W", 64), Since: now, Removed: true, Remove: of("remove"), Keep: of("keep")},
		{ID: "TA2", Name: "هاتفي", Since: now, New: true, Remove: of("remove")},
	}
	apps.CodesLeft, apps.Changed, apps.Notice = 7, true, "page_enroll_confirmed"
	full := apps
	full.Add, full.NewCodes, full.Fault = nil, true, &web.Fault{Key: "page_error_codes", Values: map[string]string{"wait": "7 h"}}
	codes := web.CodesScreen{Set: "0123456789abcdef0123456789abcdef", Keep: of("kept")}
	for range 10 {
		codes.Codes = append(codes.Codes, "ABCD-EFGH-JKLM-NPQR")
	}
	link := web.LinkScreen{Form: web.Form{Action: "/verify/link", Token: "sealed-token", Once: "once"}, Payment: payment}
	failed := link
	failed.Fault = &web.Fault{Key: "page_error_failure"}
	return map[string]any{
		"link": link, "link-failed": failed, "shown": web.ShownScreen{Code: "482913", Payment: payment}, "shown-letters": web.ShownScreen{Code: "ABCDEFGHJK"},
		"intro": web.IntroScreen{Form: of("begin"), Cancel: of("cancel")}, "intro-failed": web.IntroScreen{Form: of("begin"), Cancel: of("cancel"), Fault: failed.Fault},
		"scan": scan, "scan-wrong": wrong, "scan-name": name, "scan-long": long, "apps-none": none, "apps": apps, "apps-full": full, "codes": codes,
	}
}

// signInScreens are those of sign-in and of accounts.
func signInScreens() map[string]any {
	of := func(action string) web.Form {
		return web.Form{Action: "/verify/oidc/" + action, Token: "sealed-token", Once: "once-" + action, Request: "sealed-request"}
	}
	to := func(action string) *web.Form {
		f := of(action)
		return &f
	}
	failure := &web.Fault{Key: "page_error_failure"}
	signIn := web.AddressScreen{Form: of("send"), Phones: true, Emails: true, Country: "DE", SignIn: true, Cancel: of("cancel")}
	signInPhones, signInWrong, addPhone := signIn, signIn, signIn
	signInPhones.Emails = false
	signInWrong.Value, signInWrong.Fault = "alice@", &web.Fault{Key: "page_error_email", Field: true}
	addPhone.SignIn, addPhone.Add, addPhone.Emails, addPhone.Back = false, true, false, "/verify/oidc/account?t=x"
	addEmail := addPhone
	addEmail.Phones, addEmail.Emails, addEmail.Fault = false, true, &web.Fault{Key: "page_error_taken", Field: true}
	quiet := web.CodeScreen{
		Form: of("code"), Way: web.WayQuiet, To: "+49******4567", Digits: true, Length: 6,
		ExpiresAt: now.Add(10 * time.Minute), AskShared: true, HelpForm: to("help"), Cancel: of("cancel"),
	}
	quietMail, quietOver := quiet, quiet
	quietMail.Email, quietMail.To, quietMail.Fault = true, "a******@a-rather-long-name-of-a-department.example.com", &web.Fault{Key: "page_error_wrong", Values: map[string]string{"left": "4"}, Field: true}
	quietOver.NewCode = to("new")
	second := web.SecondScreen{
		App: "/verify/oidc/app?t=x", Recovery: "/verify/oidc/recovery?t=x", Cancel: of("cancel"),
		Messages: []web.MessageForm{{ID: "A0", To: "+49******4567", Form: of("send")}, {ID: "A1", To: quietMail.To, Email: true, Form: of("send")}},
	}
	secondOne := web.SecondScreen{Messages: second.Messages[:1], Fault: &web.Fault{Key: "page_error_fresh"}}
	consent := web.ConsentScreen{
		Phone: true, Email: true, Profile: true, PhoneNumber: "+49******4567", EmailAddress: quietMail.To, Name: "أليس", Allow: of("allow"), Deny: of("deny"),
	}
	consentNone := web.ConsentScreen{Phone: true, Email: true, Profile: true, Allow: of("allow"), Deny: of("deny"), Fault: failure}
	account := web.AccountScreen{
		Name: "Alice Example", AddPhone: to("phone"), AddEmail: to("email"), SignOut: of("sign-out"), SignOutAll: of("sign-out-all"), Erase: of("erase"),
		Rename: of("name"), Factors: of("factors"), Authenticators: 2, CodesLeft: 10,
		Apps: []web.AccountApp{{ID: "P0", Brand: "Acme Bank", Withdraw: of("withdraw")}, {ID: "P1", Brand: strings.Repeat("W", 64), Withdraw: of("withdraw")}, {ID: "P2", Brand: "متجر", Withdraw: of("withdraw")}},
		Browsers: []web.AccountBrowser{
			{ID: "B0", Forget: of("forget"), Label: "Firefox, Android", App: "Acme Bank", Seen: now, Here: true, SignedIn: true, TrustedUntil: now.Add(30 * 24 * time.Hour)},
			{ID: "B1", Forget: of("forget"), App: "متجر", Seen: now.Add(-40 * 24 * time.Hour)},
		}, Notice: "page_account_saved",
		Addresses: []web.AccountAddress{
			{ID: "A0", Text: "+491711234567", New: true, Remove: to("remove")},
			{ID: "A1", Text: "+491709876543", Undo: to("undo"), Until: now.Add(23 * time.Hour)},
			{ID: "A2", Text: quietMail.To, Email: true, Remove: to("remove")},
		},
	}
	accountOne := web.AccountScreen{
		AddPhone: to("phone"), AddEmail: to("email"), SignOut: of("sign-out"), SignOutAll: of("sign-out-all"), Erase: of("erase"), Rename: of("name"), Factors: of("factors"),
		Addresses: []web.AccountAddress{{ID: "A0", Text: "+491711234567"}}, Fault: &web.Fault{Key: "page_error_changes", Values: map[string]string{"wait": "7 h"}},
	}
	signInJoin, required, open, secondCode := signIn, addEmail, quiet, quiet
	signInJoin.Join = to("join")
	required.Required, required.Fault = true, nil
	open.Way, open.Fault = web.WayOpen, nil
	openMail := open
	openMail.Email, openMail.To = true, quietMail.To
	secondCode.AskTrust = now.Add(30 * 24 * time.Hour)
	signUp := web.SignUpScreen{AddressScreen: signIn, Instead: "/verify/oidc/address?t=x"}
	signUpPerson, signUpAddress, signUpPhones, signUpProven := signUp, signUp, signUp, signUp
	signUpPerson.Fault = &web.Fault{Key: "page_error_person", Field: true}
	signUpAddress.Name, signUpAddress.Value, signUpAddress.Fault = "Alice Example", "alice@", &web.Fault{Key: "page_error_email", Field: true}
	signUpPhones.Emails = false
	signUpProven.Proven, signUpProven.Fault = quietMail.To, &web.Fault{Key: "page_error_taken"}
	details := web.DetailsScreen{Name: "أليس", Address: "alice@a-rather-long-name-of-a-department.example.com", Email: true, Form: of("details"), Change: "/verify/oidc/signup?t=x", Cancel: of("cancel")}
	detailsProven := web.DetailsScreen{Name: strings.Repeat("W", 100), Address: "+491711234567", Proven: true, Form: of("details"), Change: "/verify/oidc/signup?t=x", Fault: failure, Cancel: of("cancel")}
	return map[string]any{
		"sign-in-join": signInJoin, "add-required": required, "open": open, "open-mail": openMail, "second-code": secondCode,
		"sign-up": signUp, "sign-up-person": signUpPerson, "sign-up-address": signUpAddress, "sign-up-phones": signUpPhones, "sign-up-proven": signUpProven,
		"details": details, "details-proven": detailsProven,
		"name": web.NameScreen{Form: of("named"), Name: "Alice", Back: "/oidc/account"}, "name-wrong": web.NameScreen{Form: of("named"), Back: "/oidc/account", Fault: &web.Fault{Key: "page_error_person", Field: true}},
		"sign-in": signIn, "sign-in-phones": signInPhones, "sign-in-wrong": signInWrong, "add-phone": addPhone, "add-email": addEmail,
		"quiet": quiet, "quiet-mail": quietMail, "quiet-over": quietOver, "second": second, "second-one": secondOne,
		"consent": consent, "consent-none": consentNone, "consent-id": web.ConsentScreen{Allow: of("allow"), Deny: of("deny")},
		"account": account, "account-one": accountOne,
		"erase": web.EraseScreen{Erase: of("erase"), Back: "/verify/oidc/account?t=x"}, "erase-failed": web.EraseScreen{Erase: of("erase"), Back: "/verify/oidc/account?t=x", Fault: failure},
		"sign-out": web.SignOutScreen{SignOut: of("sign-out")}, "sign-out-failed": web.SignOutScreen{SignOut: of("sign-out"), Fault: failure},
	}
}

func names() (list []string) {
	for name := range screens() {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// renderer has the embedded texts, and those of a folder if there is one.
func renderer(t testing.TB, folder ...string) *web.Renderer {
	t.Helper()
	c, err := texts.Load(texts.Options{Dir: strings.Join(folder, "")})
	if err != nil {
		t.Fatal(err)
	}
	return &web.Renderer{Texts: c}
}

// serve serves the screens at /NAME?locale=de, with the headers and files of the pages.
func serve(t testing.TB, folder ...string) (url string) {
	t.Helper()
	r, all := renderer(t, folder...), screens()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch path := req.URL.Path; path {
		case "/verify/style":
			w.Header().Set("Content-Type", "text/css")
			_, _ = w.Write(web.Style(req.URL.Query().Get("c")))
		case web.ScriptPath:
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(web.Script())
		default:
			screen, ok := all[strings.TrimPrefix(path, "/")]
			if !ok {
				http.NotFound(w, req)
				return
			}
			body, err := r.Render(req.URL.Query().Get("locale"), look, screen, now)
			if err != nil {
				t.Error(err)
			}
			for name, value := range web.Headers() {
				w.Header().Set(name, value)
			}
			_, _ = w.Write(body)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// arabic is a folder with a text of pages in Arabic.
func arabic(t testing.TB) string {
	t.Helper()
	return folderWith(t, "ar.json", `{"page_code_label": "الرمز", "page_code_lead_sms": "أرسلنا رمزًا في رسالة نصية إلى {to}."}`)
}

func folderWith(t testing.TB, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// languages are the tags of the embedded texts.
func languages(t testing.TB) (tags []string) {
	t.Helper()
	files, err := filepath.Glob("../texts/catalogue/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no texts", err)
	}
	for _, file := range files {
		tags = append(tags, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	return tags
}
