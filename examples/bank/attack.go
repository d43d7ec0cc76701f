package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
)

// attackView is the page that attacks an account: what was tried, and what came back.
type attackView struct {
	Account string
	Step    string
	Tries   []try
	Left    *factors // what the customer still has, for stepVictim
}

// try is one call that was just made.
type try struct {
	Did   string // what was tried
	Read  string // what the bank's form says then
	Twofa string // what twofa answered
}

// The steps of an attack.
const (
	stepPasswords = "passwords"
	stepCodes     = "codes"
	stepVictim    = "victim"
)

// passwords are guesses out of every list of bad passwords.
var passwords = []string{"password123", "1234567890", "qwertyuiop"}

// maxGuesses is one more than twofa's default number of tries.
const maxGuesses = 6

func (b *bank) attackForm(w http.ResponseWriter, _ *http.Request) {
	b.render(w, http.StatusOK, "attack", view{Attack: new(attackView)})
}

// attack makes one step against an account, by the functions behind the login form. It keeps no
// session, so a guess that is right by chance lets nobody in.
func (b *bank) attack(w http.ResponseWriter, r *http.Request) {
	v := &attackView{Account: strings.TrimSpace(r.PostFormValue("name")), Step: r.PostFormValue("step")}
	found, ok := b.accounts.find(v.Account)
	if !ok {
		b.render(w, http.StatusUnprocessableEntity, "attack", view{Error: "There is no account with this name.", Bad: "name", Attack: v})
		return
	}
	switch v.Step {
	case stepPasswords:
		v.Tries = b.guessPasswords(r.Context(), found.Name, device(r.UserAgent()))
	case stepCodes:
		v.Tries = b.guessCodes(r.Context(), found.Name)
	case stepVictim:
		v.Tries, v.Left = b.askVictim(r.Context(), found.Name)
	}
	b.render(w, http.StatusOK, "attack", view{Attack: v})
}

// guessPasswords tries passwords, each with the alert of the login form.
func (b *bank) guessPasswords(ctx context.Context, name, device string) (tries []try) {
	for _, guess := range passwords {
		_, err := b.accounts.login(ctx, name, guess)
		t := try{Did: "Password " + guess, Read: said(err), Twofa: "not asked"}
		if errors.Is(err, errWrong) {
			sent, err := b.twofa.alert(ctx, name, eventPassword, device)
			t.Twofa = answered("alert sent to "+sent.To+" "+channels[sent.Channel], err)
		}
		tries = append(tries, t)
	}
	return tries
}

// guessCodes begins the second step of a login, as somebody does who knows the password, and
// tries codes until twofa stops it.
func (b *bank) guessCodes(ctx context.Context, name string) []try {
	s, first := b.begin(ctx, name)
	tries := []try{first}
	for range maxGuesses {
		if s.verification.ID == "" {
			break
		}
		code := guessCode()
		_, err := b.tryCode(ctx, s, factorMessage, code)
		tries = append(tries, try{Did: "Code " + code, Read: said(err), Twofa: answered("approved, by chance", err)})
		if p, ok := errors.AsType[*problem](err); !ok || p.Type != "urn:twofa:wrong_code" {
			break
		}
	}
	return tries
}

// begin has a code sent for a login that no browser has.
func (b *bank) begin(ctx context.Context, name string) (s session, t try) {
	v, err := b.twofa.start(ctx, order{User: name, Purpose: purposeLogin}, b.derive("attack", random()))
	t = try{Did: "Ask for a code", Read: "We sent a code to " + v.To + ".", Twofa: answered("code sent to "+v.To, err)}
	if err != nil {
		t.Read = said(err)
	}
	return session{pending: name, verification: v}, t
}

// askVictim asks whether the customer can still log in: by a message, or by something else.
func (b *bank) askVictim(ctx context.Context, name string) ([]try, *factors) {
	_, first := b.begin(ctx, name)
	has, err := b.twofa.factors(ctx, name)
	second := try{Did: "Ask what else there is", Read: "You have " + has.words() + ".", Twofa: answered(has.words(), err)}
	if err != nil {
		return []try{first, {Did: second.Did, Read: said(err), Twofa: second.Twofa}}, nil
	}
	return []try{first, second}, &has
}

// guessCode returns a random code of six digits.
func guessCode() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "000000" // as good a guess
	}
	return fmt.Sprintf("%06d", n)
}

// said is what the bank's form says about the outcome of a guess.
func said(err error) string {
	if err == nil {
		return "The guess was right. The next page of the login would come now."
	}
	text, _ := words(err)
	return text
}

// answered is an answer of twofa in short.
func answered(good string, err error) string {
	p, ok := errors.AsType[*problem](err)
	switch {
	case err == nil:
		return good
	case !ok:
		return "no answer"
	}
	text := fmt.Sprintf("%d %s", p.Status, strings.TrimPrefix(p.Type, "urn:twofa:"))
	if p.Type == "urn:twofa:wrong_code" {
		text += ", " + plural(p.ChecksLeft, "check") + " left"
	}
	if p.RetryAfter > 0 {
		text += ", for" + strings.TrimPrefix(strings.TrimSuffix(again(p.RetryAfter), "."), " Try again in")
	}
	if p.Alerted {
		text += "; the customer is warned"
	}
	return text
}
