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

// AccountScreen is the account of the person who is signed in.
type AccountScreen struct {
	Name      string
	Addresses []AccountAddress
	// AddPhone and AddEmail add or replace an address, nil if the service does not reach such addresses.
	AddPhone, AddEmail *Form
	// SignOut ends the session of this browser, SignOutAll those of all.
	SignOut, SignOutAll Form
	// Erase leads to a screen that asks whether the account is to be erased.
	Erase Form
	// Apps are where the person is signed in or has consented: their names.
	Apps []string
	// Sessions is how many browsers the person is signed in with.
	Sessions int
	Fault    *Fault
	// Notice is the key of a text that tells what the last click did, "" for none.
	Notice string
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

// Sessions is how many browsers the person is signed in with.
func (s screen) Sessions() string {
	v, _ := s.S.(AccountScreen)
	return s.texts.Text("page_account_sessions", map[string]string{"count": strconv.Itoa(v.Sessions)})
}
