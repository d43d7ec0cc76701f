package web

import (
	"strconv"
	"time"
)

// SecondScreen asks a person who has proven one thing for another one, by one of these ways. At least one
// is set.
type SecondScreen struct {
	// App and Recovery are the paths of the screens for their codes, "" for those that are not offered.
	App, Recovery string
	// Messages send a code to another address of the account.
	Messages []MessageForm
	Fault    *Fault
	Cancel   Form
}

// MessageForm is a form that sends a code to an address, which is masked.
type MessageForm struct {
	// ID names the address, the field id of the form, "" if the form needs none.
	ID    string
	To    string
	Email bool
	Form  Form
}

// ConsentScreen asks whether an app may know who the person is. The app is the Brand of the Look.
type ConsentScreen struct {
	// Phone, Email and Profile are what the app asks for, beside a name for the person that says nothing.
	Phone, Email, Profile bool
	// PhoneNumber, EmailAddress and Name are the values, masked, "" if there is none.
	PhoneNumber, EmailAddress, Name string
	Allow, Deny                     Form
	Fault                           *Fault
}

// SignUpScreen asks a new person for their name, and for the address of the account.
type SignUpScreen struct {
	// AddressScreen has the forms and the address. Of its other fields, only those for the address count.
	AddressScreen
	// Name is what the person typed before.
	Name string
	// Proven is the address, masked, if the person has proven it: then it is not asked for. "": they have not.
	Proven string
	// Instead is the path of the screen for people who have an account, "" if it is not offered.
	Instead string
}

// DetailsScreen shows a new person what they have typed, before the account is made.
type DetailsScreen struct {
	Name string
	// Address is whole: the person has typed it. Email is true for a mail address.
	Address string
	Email   bool
	// Form makes the account if the address is Proven, and sends a code to it if it is not.
	Form   Form
	Proven bool
	// Change is the path of the screen for other details.
	Change string
	Fault  *Fault
	Cancel Form
}

// NameScreen asks the person who is signed in for another name.
type NameScreen struct {
	Form  Form
	Name  string
	Fault *Fault
	Back  string
}

// AccountScreen is the account of the person who is signed in.
type AccountScreen struct {
	Name string
	// Rename leads to a screen for another name.
	Rename    Form
	Addresses []AccountAddress
	// AddPhone and AddEmail add or replace an address, nil if the service does not reach such addresses.
	AddPhone, AddEmail *Form
	// Authenticators is how many authenticator apps the person has, CodesLeft how many recovery codes. Factors leads to
	// the screens for both.
	Authenticators, CodesLeft int
	Factors                   Form
	// Browsers are those that the account knows.
	Browsers []AccountBrowser
	// SignOut ends the session of this browser, SignOutAll those of all.
	SignOut, SignOutAll Form
	// Erase leads to a screen that asks whether the account is to be erased.
	Erase Form
	// Apps are those that may know who the person is.
	Apps  []AccountApp
	Fault *Fault
	// Notice is the key of a text that tells what the last click did, "" for none.
	Notice string
}

// AccountBrowser is a browser in which the person has signed in.
type AccountBrowser struct {
	// ID names the browser, the field id of Forget, which ends what is known of it.
	ID     string
	Forget Form
	// Label is like "Firefox, Android", "" if that is not known. App is where the person signed in.
	Label, App string
	Seen       time.Time
	// Here is true for the browser of this page, SignedIn for one that has a session.
	Here, SignedIn bool
	// TrustedUntil is how long the device is remembered, zero if it is not.
	TrustedUntil time.Time
}

// AccountApp is an app that may know who the person is.
type AccountApp struct {
	// ID names the app, the field id of Withdraw, after which it asks again.
	ID       string
	Brand    string
	Withdraw Form
}

// AccountAddress is one of an account's.
type AccountAddress struct {
	// ID names the address, the field id of its forms, "" if they need none.
	ID string
	// Text is shown whole: the person has proven it.
	Text  string
	Email bool
	// New is true for one that cannot be used alone for a day.
	New bool
	// Undo puts back one that was removed, until that time. nil: it was not removed.
	Undo  *Form
	Until time.Time
	// Remove removes it, nil if it cannot be removed.
	Remove *Form
}

// EraseScreen asks whether the account is to be erased.
type EraseScreen struct {
	Erase Form
	Back  string
	Fault *Fault
}

// SignOutScreen asks whether the person wants to sign out.
type SignOutScreen struct {
	SignOut Form
	Fault   *Fault
}

// describeSignIn is describe for the screens of sign-in and of accounts.
func (s *screen) describeSignIn(of any) string {
	switch v := of.(type) {
	case SignUpScreen:
		s.Title, s.Fault = s.T("page_signup_title"), v.Fault
		if s.Lead = s.T("page_signup_lead"); v.Proven != "" {
			s.Lead, s.LeadEnd = s.cut("page_signup_unknown")
			s.To = v.Proven
		}
		return "signup"
	case DetailsScreen:
		s.Title, s.Lead, s.Fault = s.T("page_details_title"), s.T("page_details_lead"), v.Fault
		return "details"
	case NameScreen:
		s.Title, s.Fault = s.T("page_change_name"), v.Fault
		return "name"
	case SecondScreen:
		s.Title, s.Lead, s.Fault = s.T("page_second_title"), s.T("page_second_lead"), v.Fault
		return "second"
	case ConsentScreen:
		s.Title, s.Lead, s.Fault = s.T("page_consent_title"), s.T("page_consent_lead"), v.Fault
		return "consent"
	case AccountScreen:
		s.Title, s.Fault = s.T("page_account_title"), v.Fault
		return "account"
	case EraseScreen:
		s.Title, s.Lead, s.Fault = s.T("page_erase_title"), s.T("page_erase_lead"), v.Fault
		return "erase"
	case SignOutScreen:
		s.Title, s.Lead, s.Fault = s.T("page_signout_title"), s.T("page_signout_lead"), v.Fault
		return "signout"
	}
	return ""
}

// addressTitle is the title of an AddressScreen.
func (s screen) addressTitle(v AddressScreen) string {
	switch {
	case v.SignIn:
		return s.T("page_signin_title")
	case v.Add && v.Phones:
		return s.T("page_add_phone")
	case v.Add:
		return s.T("page_add_email")
	}
	return s.T("page_address_title")
}

// around is a text on both sides of a masked address, which the page keeps from left to right.
type around struct{ Before, To, After string }

// SendTo is what the button of a MessageForm says.
func (s screen) SendTo(m MessageForm) around {
	before, after := s.cut("page_second_send")
	return around{Before: before, To: m.To, After: after}
}

// Addition is what the button says with which a person adds an address, or replaces the one that there is.
func (s screen) Addition(email bool) string {
	kind, does := "phone", "add"
	if email {
		kind = "email"
	}
	v, _ := s.S.(AccountScreen)
	for _, a := range v.Addresses {
		if a.Email == email && a.Undo == nil {
			does = "change"
		}
	}
	return s.T("page_" + does + "_" + kind)
}

// Removed is how long the person can put back an address that was removed.
func (s screen) Removed(a AccountAddress) string {
	return s.texts.Text("page_account_removed", map[string]string{"wait": wait(s.texts, a.Until.Sub(s.now))})
}

// Authenticators is how many authenticator apps the person has.
func (s screen) Authenticators() string {
	v, _ := s.S.(AccountScreen)
	return s.texts.Text("page_account_authenticators", map[string]string{"count": strconv.Itoa(v.Authenticators)})
}

// Seen is when the person last signed in with a browser.
func (s screen) Seen(b AccountBrowser) string { return s.dated("page_account_seen", b.Seen) }

// Trusted is how long a device is remembered.
func (s screen) Trusted(b AccountBrowser) string {
	return s.dated("page_account_trusted", b.TrustedUntil)
}

// AskTrust is what the box of a CodeScreen says with which the person has the device remembered.
func (s screen) AskTrust() string {
	v, _ := s.S.(CodeScreen)
	return s.dated("page_remember", v.AskTrust)
}

// dated is a text with a date that reads alike in every language.
func (s screen) dated(key string, at time.Time) string {
	return s.texts.Text(key, map[string]string{"date": at.UTC().Format("2006-01-02")})
}
