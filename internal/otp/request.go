package otp

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultPurpose is what a request without a purpose means.
const DefaultPurpose = "login"

// Bounds of a Context's texts in characters. A character has at most 4 bytes,
// so both fit a row's 255.
const (
	maxAmount = 40
	maxPayee  = 60
)

// CheckPurpose returns the purpose, the default for none, and notes a fault.
func CheckPurpose(purpose string, faults *Error) string {
	if purpose == "" {
		return DefaultPurpose
	}
	for _, c := range purpose {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' || len(purpose) > 32 {
			faults.Add("purpose", "A purpose is 1 to 32 characters of a-z, 0-9, _ and -.")
			break
		}
	}
	return purpose
}

// Check notes what keeps the context from being shown and bound: it becomes
// part of a message that the service signs with its name, so it must not be
// able to pose as more than an amount and a payee.
func (c Context) Check(faults *Error) {
	checkText("context.amount", c.Amount, maxAmount, faults)
	checkText("context.payee", c.Payee, maxPayee, faults)
}

func checkText(field, text string, most int, faults *Error) {
	switch {
	case text == "":
	case utf8.RuneCountInString(text) > most:
		faults.Add(field, "At most %d characters are shown.", most)
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		faults.Add(field, "Only printable characters on one line are shown: no line breaks, control or direction characters.")
	case strings.Contains(text, "{{"), strings.Contains(text, "}}"), strings.Contains(text, "://"),
		strings.Contains(strings.ToLower(text), "www."):
		faults.Add(field, "Links and template placeholders are not shown.")
	}
}
