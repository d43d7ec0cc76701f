// Package address reads what a message can be sent to: a phone number or an
// e-mail address. Whoever is written in two ways has to have one address, because
// all limits are counted by it; what cannot be brought to one form is refused.
package address

import (
	"errors"
	"log/slog"
	"strings"
	"unicode"

	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/problem"
)

// The faults of an e-mail address; those of a number are package phone's.
// None quotes the address.
var (
	ErrEmail       = errors.New("an e-mail address has to look like name@example.com, without a display name, comments or quotes")
	ErrEmailASCII  = errors.New("an e-mail address has to be in ASCII: write the domain of an internationalized one in its xn-- form")
	ErrEmailLength = errors.New("an e-mail address has at most 64 characters before the @ and 254 in all")
)

// Address is where a message goes. The zero Address is none.
type Address struct {
	// Text is the one form of the address: E.164, or the e-mail address in
	// lower case.
	Text string
	// Number is what is known of a phone number, zero for an e-mail address.
	Number phone.Number
}

// Parse reads an address as people and programs write it.
func Parse(text string) (Address, error) {
	if otp.IsEmail(text) {
		return ParseEmail(text)
	}
	n, err := phone.Parse(text)
	if err != nil {
		return Address{}, err
	}
	return Address{Text: n.E164, Number: n}, nil
}

// ParseEmail reads an e-mail address: a dot-atom and a host name (RFC 5322,
// 3.4.1), in ASCII, and nothing else. It is folded to lower case, although a
// server might tell two cases of a mailbox apart: none in use does, and with two
// spellings there would be two sets of limits.
func ParseEmail(text string) (Address, error) {
	text = strings.Trim(text, " ")
	at := strings.LastIndexByte(text, '@')
	if at < 1 {
		return Address{}, ErrEmail
	}
	// Before folding, which makes Latin letters of the Kelvin sign and of the
	// dotted capital I.
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		return Address{}, ErrEmailASCII
	}
	text = strings.ToLower(text)
	local, domain := text[:at], text[at+1:]
	if len(local) > 64 || len(text) > 254 {
		return Address{}, ErrEmailLength
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.Trim(atom, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~") != "" {
			return Address{}, ErrEmail
		}
	}
	if !isHost(domain) {
		return Address{}, ErrEmail
	}
	return Address{Text: text}, nil
}

// isHost reports whether a domain is a host name with a dot (RFC 1123, 2.1)
// whose last label is not a number.
func isHost(domain string) bool {
	labels := strings.Split(domain, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(labels) >= 2 && strings.Trim(last, "0123456789") != ""
}

// IsEmail reports whether the address is an e-mail address.
func (a Address) IsEmail() bool { return otp.IsEmail(a.Text) }

// Masked is the form for answers and logs: the last digits of a number, the
// first character and the domain of an e-mail address.
func (a Address) Masked() string {
	if !a.IsEmail() {
		return a.Number.Masked()
	}
	return maskEmail(a.Text)
}

func maskEmail(text string) string {
	local, domain, _ := strings.Cut(text, "@")
	if len(local) < 2 {
		return "******@" + domain // the first character would be all of it
	}
	return local[:1] + "******@" + domain
}

// MayReach returns an error for a number that is never sent to: of a kind that
// costs extra or that no person reads, or of a country that is not in countries
// (ISO 3166-1 alpha-2; nil means all). The error is of kind DestinationRefused.
func (a Address) MayReach(countries map[string]bool) error {
	switch {
	case a.IsEmail():
		return nil
	case a.Number.Refused():
		return &problem.Error{Kind: problem.DestinationRefused, Detail: "Numbers of this kind are not sent to: they cost extra, or no person reads there."}
	case countries != nil && !countries[a.Number.Region]:
		return &problem.Error{Kind: problem.DestinationRefused, Detail: "This service does not send to the number's country (" + a.Number.Region + ")."}
	}
	return nil
}

// Mask masks an address in the form of Address.Text.
func Mask(text string) string {
	if otp.IsEmail(text) {
		return maskEmail(text)
	}
	return phone.Mask(text)
}

// LogValue implements slog.LogValuer: an Address that reaches a log is masked.
func (a Address) LogValue() slog.Value { return slog.StringValue(a.Masked()) }
