// Package address reads the addresses that messages are sent to: phone numbers and
// e-mail addresses. All limits are counted per address, so each address has exactly
// one form. Input that cannot be converted to that form is refused.
package address

import (
	"errors"
	"log/slog"
	"strings"
	"unicode"

	"twofa/internal/phone"
	"twofa/internal/problem"
)

// The faults of an e-mail address. The faults of a number are in package phone.
// None of them quotes the address.
var (
	ErrEmail       = errors.New("an e-mail address has to look like name@example.com, without a display name or comments")
	ErrEmailASCII  = errors.New("an e-mail address has to be in ASCII: write the domain of an internationalized one in its xn-- form")
	ErrEmailLength = errors.New("an e-mail address has at most 64 characters before the @ and 254 in all")
)

// Address is where a message goes. The zero Address means that there is none.
type Address struct {
	// Text is the only form of the address: E.164, or the e-mail address in lower
	// case.
	Text string
	// Number describes a phone number. It is zero for an e-mail address.
	Number phone.Number
}

// Parse reads an address in any accepted spelling.
func Parse(text string) (Address, error) {
	if IsEmail(text) || strings.Contains(text, fullWidthAt) {
		return ParseEmail(text)
	}
	n, err := phone.Parse(text)
	if err != nil {
		return Address{}, err
	}
	return Address{Text: n.E164, Number: n}, nil
}

// fullWidthAt is what keyboards for Chinese, Japanese and Korean write for @.
const fullWidthAt = "\uff20"

// ParseEmail reads an e-mail address: a dot-atom and a host name (RFC 5322,
// 3.4.1), in ASCII, and nothing else. Spaces, line ends and invisible characters
// around it are dropped, as people paste them; inside, they are faults.
//
// Dots may also stand side by side and at the ends of the local part, as Japanese
// carriers have issued them (a..b@docomo.ne.jp). The standard has such a local part in
// quotes, and any local part may be in quotes. The result is always without them.
//
// The result is in lower case. In theory a server may distinguish mailboxes by case,
// but none in use does, and two spellings would have two sets of limits.
func ParseEmail(text string) (Address, error) {
	text = strings.ReplaceAll(phone.Trim(text), fullWidthAt, "@")
	at := strings.LastIndexByte(text, '@')
	if at < 1 {
		return Address{}, ErrEmail
	}
	// This check precedes ToLower, which turns the Kelvin sign and the dotted
	// capital I into Latin letters.
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		return Address{}, ErrEmailASCII
	}
	text = strings.ToLower(text)
	local, domain := text[:at], text[at+1:]
	if len(local) > 2 && local[0] == '"' && local[len(local)-1] == '"' {
		local = local[1 : len(local)-1]
	}
	if text = local + "@" + domain; len(local) > 64 || len(text) > 254 {
		return Address{}, ErrEmailLength
	}
	if strings.Trim(local, ".") == "" || strings.Trim(local, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~.") != "" {
		return Address{}, ErrEmail
	}
	// A domain has a dot, and its last label is not a number.
	dot := strings.LastIndexByte(domain, '.')
	if !IsHost(domain) || dot < 0 || strings.Trim(domain[dot+1:], "0123456789") == "" {
		return Address{}, ErrEmail
	}
	return Address{Text: text}, nil
}

// IsHost reports whether a text is a host name in lower case (RFC 1123, 2.1):
// labels of letters, digits and hyphens, separated by dots.
func IsHost(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return len(text) <= 253
}

// IsEmail reports whether an address, in the form of Address.Text, is an e-mail
// address.
func IsEmail(text string) bool { return strings.Contains(text, "@") }

// IsEmail reports whether the address is an e-mail address.
func (a Address) IsEmail() bool { return IsEmail(a.Text) }

// Masked is the form for responses and logs. It shows the last digits of a number,
// or the first character and the domain of an e-mail address.
func (a Address) Masked() string {
	if !a.IsEmail() {
		return a.Number.Masked()
	}
	return maskEmail(a.Text)
}

func maskEmail(text string) string {
	local, domain, _ := strings.Cut(text, "@")
	if len(local) < 2 {
		return "******@" + domain // the first character would be the whole local part
	}
	return local[:1] + "******@" + domain
}

// MayReach returns an error of kind [problem.DestinationRefused] for a number that
// the service never sends to: a number that costs extra or that no person reads, or
// a number of a country that one of the sets of countries lacks (ISO 3166-1 alpha-2;
// a nil set allows all countries). The sets are those of the operator and the client.
func (a Address) MayReach(countries ...map[string]bool) error {
	switch {
	case a.IsEmail():
		return nil
	case a.Number.Refused():
		return &problem.Error{Kind: problem.DestinationRefused, Detail: "The service does not send to numbers of this kind: they cost extra, or no person reads them."}
	}
	for _, allowed := range countries {
		if allowed != nil && !allowed[a.Number.Region] {
			return &problem.Error{Kind: problem.DestinationRefused, Detail: "This service does not send to the number's country (" + a.Number.Region + ")."}
		}
	}
	return nil
}

// Mask returns the form [Address.Masked] of an address in the form of Address.Text.
func Mask(text string) string {
	if IsEmail(text) {
		return maskEmail(text)
	}
	return phone.Mask(text)
}

// LogValue implements slog.LogValuer: logs show the masked form.
func (a Address) LogValue() slog.Value { return slog.StringValue(a.Masked()) }
