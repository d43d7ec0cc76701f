// Package web has what all pages for people share: the templates, the style, the script,
// the languages, the colours and the form protection.
//
// It must never read or change anything that is stored, and must never decide anything
// about codes. A page loads nothing from another origin, has no inline style or script, and
// works without script.
package web

import (
	"html/template"
	"time"

	"twofa/internal/channel"
)

// Look is how the pages of a client look.
type Look struct {
	// Brand is the name that people know.
	Brand string
	// Color is the brand's colour, like #0b5fff. "": the default.
	Color string
	// Logo is the path of the logo below the service's origin, "" if there is none.
	Logo string
	// Privacy, Terms and Support are addresses of the operator's pages. "": none.
	Privacy, Terms, Support string
}

// Payment is what a person approves with the code. The zero Payment is none.
type Payment struct{ Amount, Payee string }

// Form is where a form goes, and the hidden fields that every form has.
type Form struct {
	// Action is the path of the POST.
	Action string
	// Token is the sealed state of the page, the field t.
	Token string
	// Once names this form, the field once: a form that is sent twice has one effect.
	Once string
	// Request is the sealed request of an app, the field request, "" if the token has all.
	Request string
}

// Fault is an error that a screen shows: the key of a text of the catalogue, and the values of
// its placeholders.
type Fault struct {
	Key    string
	Values map[string]string
	// Field is true if the fault is one of the screen's field, which then is marked.
	Field bool
}

// AddressScreen asks for a phone number or an e-mail address.
type AddressScreen struct {
	Form Form
	// Phones and Emails say which kinds of address can be reached.
	Phones, Emails bool
	// Country is the region (ISO 3166-1 alpha-2) that is selected, "" for none. Countries
	// are the regions that may be selected, nil for all.
	Country   string
	Countries map[string]bool
	// Value is what the person typed before.
	Value   string
	Fault   *Fault
	Payment Payment
	Cancel  Form
	// Back is the path of the screen before, "" if there is none.
	Back string
	// SignIn is true if the address is the one of an account that the person signs in to. Add is true if
	// it becomes one of the account of a person who is signed in, Required if the app needs it.
	SignIn, Add, Required bool
	// Join leads a new person to the sign-up, nil if there is none.
	Join *Form
}

// Way is where the code of a CodeScreen comes from.
type Way string

// The ways.
const (
	WayMessage  Way = "message"
	WayApp      Way = "app"
	WayRecovery Way = "recovery"
	// WayQuiet is that of a code that was perhaps not sent, because nobody may learn whether To, which is
	// masked, has an account.
	WayQuiet Way = "quiet"
	// WayOpen is that of a code that was sent, whether or not To has an account. The channel is not named.
	WayOpen Way = "open"
)

// CodeScreen asks for a code.
type CodeScreen struct {
	Form Form
	Way  Way
	// Channel and To, a masked address, are of WayMessage. WayQuiet and WayOpen have To, and Email for a mail.
	Email   bool
	Channel channel.Channel
	To      string
	// Digits is true if the code has digits only. Length is how many characters it has, 0 if
	// that is not known.
	Digits bool
	Length int
	// ExpiresAt is when the code ends, zero if that is not shown.
	ExpiresAt time.Time
	Fault     *Fault
	// Notice is the key of a text that tells what the last click did, "" for none.
	Notice  string
	Payment Payment
	// AskShared asks whether other people use the device. AskTrust asks whether it is to be remembered until that
	// time, zero for not.
	AskShared bool
	AskTrust  time.Time
	// NewCode is in place of the field: the code cannot be used any more, and this form
	// sends a new one. nil: the code can be used.
	NewCode *Form
	// HelpForm leads to the screen for people who did not get the code. Help is the path of
	// the one with other ways, for WayApp and WayRecovery.
	HelpForm *Form
	Help     string
	Cancel   Form
}

// ChannelForm is a form that sends the code over a channel.
type ChannelForm struct {
	Channel channel.Channel
	Form    Form
}

// HelpScreen has what a person can do who did not get the code.
type HelpScreen struct {
	// Resend sends the same code again over the same channel, nil if that is not possible.
	// It works from ResendAfter on, zero for at once.
	Resend      *Form
	ResendAfter time.Time
	Channel     channel.Channel
	To          string
	// NewCode sends a new code, nil if that is not needed.
	NewCode *Form
	Others  []ChannelForm
	// The paths of other screens, "" for those that are not offered.
	App, Recovery, Address, Back string
	Fault                        *Fault
	Cancel                       Form
}

// EndScreen is a screen without a field: the check is over, or cannot go on here.
type EndScreen struct {
	// Reason is the part of the texts' keys: page_end_REASON_title and _lead.
	Reason string
	// Good is true for a success.
	Good bool
	// Return is the app's address, "" if it is not known. If Auto is true, the browser goes
	// there by itself.
	Return string
	Auto   bool
	// Again is the path of the screen with which the person can go on, "" if there is none.
	Again string
}

// Field is a hidden field of a PostScreen.
type Field struct{ Name, Value string }

// PostScreen passes fields on to another site: the script sends them at once, and without script a
// person does, with the button.
type PostScreen struct {
	// Action is the site's address, https or http.
	Action string
	Fields []Field
}

// LinkScreen has the button of a magic link.
type LinkScreen struct {
	Form    Form
	Payment Payment
	Fault   *Fault
}

// ShownScreen shows a code to a person who has to type it into another browser.
type ShownScreen struct {
	Code    string
	Payment Payment
}

// IntroScreen begins an enrolment.
type IntroScreen struct {
	Form   Form
	Fault  *Fault
	Cancel Form
}

// ScanScreen has the QR code of an authenticator app, and asks for the app's first code.
type ScanScreen struct {
	Form Form
	// QR is an svg element, "" if the contents are too long for one. URI is what it says, and
	// Key is the secret alone.
	QR       template.HTML
	URI, Key string
	// Name is the name of the app, which the person may change.
	Name string
	// Fault is one of the code. It is one of the name if its key is page_error_name.
	Fault  *Fault
	Back   string
	Cancel Form
}

// App is an authenticator app in an AppsScreen.
type App struct {
	ID, Name string
	Since    time.Time
	// New is true for an app that was added here, Removed for one that will be removed.
	New, Removed bool
	Remove, Keep Form
}

// AppsScreen lists the apps and what is known of the recovery codes.
type AppsScreen struct {
	Apps []App
	// Add adds an app, nil if there can be no more.
	Add *Form
	// CodesLeft is how many recovery codes the person has. NewCodes is true if there are new
	// ones, which will replace them. Codes makes new ones.
	CodesLeft int
	NewCodes  bool
	Codes     Form
	// Changed is true if something will change when the person saves.
	Changed bool
	Save    Form
	// Own is true if the person goes back to their account, and not to an app.
	Own   bool
	Fault *Fault
	// Notice is the key of a text that tells what the last click did, "" for none.
	Notice string
	Cancel Form
}

// CodesScreen shows new recovery codes, once.
type CodesScreen struct {
	Codes []string
	// Set names the codes, the field set of Keep, with which the person goes on: the codes
	// count from then on.
	Set  string
	Keep Form
}
