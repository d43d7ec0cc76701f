package otp

import (
	"strings"

	"twofa/internal/problem"
	"twofa/internal/shown"
)

// DefaultPurpose is the purpose of a request that names none.
const DefaultPurpose = "login"

// SignInPurpose is the purpose of the verifications of sign-in, which no client can name. Nobody may learn from
// them what became of a message: a sign-in for an address without an account sends none.
const SignInPurpose = "oidc.login"

// TextPurpose is the purpose for which messages have texts.
func (v Verification) TextPurpose() string {
	if v.Purpose == SignInPurpose {
		return DefaultPurpose
	}
	return v.Purpose
}

// MaxAmount and MaxPayee bound the texts of a [Transaction] in characters. A
// character has at most 4 bytes, so that both fit in the 255 bytes that a row has
// for a text.
const (
	MaxAmount = 40
	MaxPayee  = 60
)

// CheckPurpose returns the purpose, DefaultPurpose for "". It adds a fault if the
// purpose is not valid.
func CheckPurpose(purpose string, faults *problem.Faults) string {
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

// Form returns the transaction with its texts in their one form ([shown.Form]).
func (t Transaction) Form() Transaction {
	return Transaction{Amount: shown.Form(t.Amount), Payee: shown.Form(t.Payee)}
}

// sameTransaction compares the texts in their one form, in a time that does not depend on
// the position of a difference. It takes the form of the stored texts, too, because a
// row of an older version may have others.
func sameTransaction(a, b Transaction) bool {
	a, b = a.Form(), b.Form()
	same := equal(a.Amount, b.Amount)
	return equal(a.Payee, b.Payee) && same
}

// Read returns [Transaction.Form], and adds a fault for a text that must not be shown.
// The texts become part of a message that the service signs with its name, so they must
// not look like more than an amount and a payee, and the person has to see all that the
// code is bound to.
func (t Transaction) Read(faults *problem.Faults) Transaction {
	return Transaction{
		Amount: readText("context.amount", t.Amount, MaxAmount, faults),
		Payee:  readText("context.payee", t.Payee, MaxPayee, faults),
	}
}

func readText(field, text string, most int, faults *problem.Faults) string {
	form, fault := shown.Read(text, most)
	switch {
	case fault != "":
		faults.Add(field, "%s", fault)
	case strings.Contains(form, "{{"), strings.Contains(form, "}}"), strings.Contains(form, "://"),
		strings.Contains(strings.ToLower(form), "www."):
		faults.Add(field, "Links and template placeholders are not shown.")
	}
	return form
}
