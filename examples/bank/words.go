package main

import (
	"errors"
	"fmt"
	"slices"
)

// What people read that has no error of the service behind it.
const (
	textWrong     = "The name or the password isn't right."
	textName      = "A name has 1 to 40 letters, digits, dots and hyphens."
	textPassword  = "A password has 10 to 128 characters."
	textTaken     = "This name is taken. Choose another one."
	textElsewhere = "This login began in another browser, or it is over. Log in again."
	textNotYours  = "This isn't what you began in this browser, or it is over. Start again."
	textLater     = "We can't send or check codes at the moment. Try again in a minute."
	textReload    = "We can't check your code at the moment. Reload this page to try again."
	textContact   = "This isn't a phone number or an e-mail address that we can use. A number starts with + and the country."
	textNoForm    = "This isn't a whole code. Check it, and try again. It didn't cost a try."
	textAgain     = "We sent the code again."
	textAmount    = "An amount is a number like 25 or 25.50."
	textPayee     = "A payee has 1 to 60 letters, digits and spaces, without links."
	textFunds     = "There isn't enough money in your account."
	textChanged   = "You began another payment since, or this one is over. Nothing was paid with this form."
	textUsed      = "These changes were made before. This is how it is now."
)

// ends are the values of error with which twofa's page sends the browser back.
var ends = map[string]string{
	"canceled": "You canceled the check, so nothing was done.",
	"expired":  "The check took too long. Start again for a new code.",
	"denied":   textDenied,
}

const (
	textEnded  = "The check didn't work, so nothing was done. Start again."
	textDenied = "Somebody who got your code told us that it wasn't them. If it was you, start again."
)

// wordsOfReturn says why nothing came of twofa's page. otherwise is for all other errors.
func wordsOfReturn(err error, otherwise string) string {
	reason, ok := errors.AsType[ended](err)
	if !ok {
		return otherwise
	}
	if text, known := ends[string(reason)]; known {
		return text
	}
	return textEnded
}

// words is what the bank tells a person about an error. The service's details are for
// developers, so each kind has its own words here. bad is the field of the form that the person
// has to change, "" if there is none.
func words(err error) (text, bad string) {
	switch {
	case errors.Is(err, errWrong):
		return textWrong, "name"
	case errors.Is(err, errName):
		return textName, "name"
	case errors.Is(err, errTaken):
		return textTaken, "name"
	case errors.Is(err, errPassword):
		return textPassword, "password"
	case errors.Is(err, errAmount):
		return textAmount, "amount"
	case errors.Is(err, errFunds):
		return textFunds, "amount"
	case errors.Is(err, errPayee):
		return textPayee, "payee"
	}
	p, ok := errors.AsType[*problem](err)
	if !ok {
		return textLater, ""
	}
	switch p.Type {
	case "urn:twofa:invalid_request":
		return invalid(p)
	case "urn:twofa:precondition_failed":
		return textTaken, "name"
	case "urn:twofa:destination_refused", "urn:twofa:undeliverable":
		return "We can't send codes to this number or address.", "contact"
	case "urn:twofa:wrong_code":
		switch {
		case p.ChecksLeft > 1:
			return fmt.Sprintf("That code isn't right. You have %d more tries.", p.ChecksLeft), "code"
		case p.ChecksLeft == 1:
			return "That code isn't right. You have one more try.", "code"
		}
		return "That code isn't right, and there are no tries left. Start again for a new one.", ""
	case "urn:twofa:expired", "urn:twofa:canceled", "urn:twofa:already_used", "urn:twofa:not_found":
		return "This code can't be used any more. Start again for a new one.", ""
	case "urn:twofa:denied":
		return textDenied, ""
	case "urn:twofa:too_many_checks":
		return "There were too many wrong codes." + again(p.RetryAfter), ""
	case "urn:twofa:too_many_sends", "urn:twofa:resend_too_soon", "urn:twofa:idempotency_conflict":
		return "We can't send another message yet." + again(p.RetryAfter), ""
	}
	return textLater, ""
}

// invalid is words for a field that the service refused.
func invalid(p *problem) (text, bad string) {
	refused := func(field string) bool {
		return slices.Contains(p.Errors, fieldError{field})
	}
	switch {
	case refused("code"):
		return textNoForm, "code"
	case refused("name"):
		return textName, "name"
	case refused("phone"), refused("email"):
		return textContact, "contact"
	case refused("context.amount"):
		return textAmount, "amount"
	case refused("context.payee"):
		return textPayee, "payee"
	}
	return textLater, ""
}

// again says when to try again, rounded up, so that nobody is too early.
func again(seconds int) string {
	switch {
	case seconds <= 0:
		return ""
	case seconds == 1:
		return " Try again in 1 second."
	case seconds < 60:
		return fmt.Sprintf(" Try again in %d seconds.", seconds)
	case seconds == 60:
		return " Try again in 1 minute."
	case seconds <= 90*60:
		return fmt.Sprintf(" Try again in %d minutes.", (seconds+59)/60)
	}
	return fmt.Sprintf(" Try again in %d hours.", (seconds+3599)/3600)
}

// channels are the names of channels as people know them.
var channels = map[string]string{"whatsapp": "over WhatsApp", "sms": "by text message", "call": "in a call", "email": "by e-mail"}

// proven says how the second factor was proven.
func proven(a approval) string {
	switch a.Factor {
	case "totp":
		return "a code of your authenticator app"
	case "recovery":
		return "a recovery code"
	}
	return fmt.Sprintf("a code that we sent to %s %s", a.To, channels[a.Channel])
}

// words says what a customer has beside the address.
func (f factors) words() string {
	return plural(f.Apps, "authenticator app") + " and " + plural(f.Recovery, "recovery code")
}

func plural(n int, what string) string {
	switch n {
	case 0:
		return "no " + what
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
