// Package web has what all pages for people share: the templates, the style, the script,
// the languages, the colours and the form protection.
//
// It must never read or change anything that is stored, and must never decide anything
// about codes. A page loads nothing from another origin, has no inline style or script, and
// works without script.
package web

import (
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
}

// Way is where the code of a CodeScreen comes from.
type Way string

// The ways.
const (
	WayMessage  Way = "message"
	WayApp      Way = "app"
	WayRecovery Way = "recovery"
)

// CodeScreen asks for a code.
type CodeScreen struct {
	Form Form
	Way  Way
	// Channel and To, a masked address, are of WayMessage.
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
	// AskShared asks whether other people use the device.
	AskShared bool
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
