package main

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"
)

// payment is one that a customer has ordered. What the person approves, and what is paid, is what
// the bank keeps here. No form says it a second time.
type payment struct {
	ID    string
	Cents int64
	Payee string

	verification verification // of the bank's own form
	page         string       // the id of twofa's page session

	// turn is held while the approval is asked for: of two forms that are sent at once, the
	// second one sees that the payment was made.
	turn sync.Mutex
}

// Amount is the amount as people read it, in the message, too.
func (p *payment) Amount() string { return euros(p.Cents) }

// order is what twofa shows to the person, and what the code is bound to.
func (p *payment) order(user string) order {
	return order{User: user, Purpose: purposePayment, Context: transaction{Amount: p.Amount(), Payee: p.Payee}}
}

// Euros is the balance.
func (a account) Euros() string { return euros(a.Balance) }

func euros(cents int64) string {
	whole := strconv.FormatInt(cents/100, 10)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("€ %s.%02d", whole, cents%100)
}

// The refusals of an order.
var (
	errAmount = errors.New("not an amount")
	errPayee  = errors.New("not a payee")
)

var (
	validAmount = regexp.MustCompile(`^([0-9]{1,7})(?:[.,]([0-9]{1,2}))?$`)
	validPayee  = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} .,'&-]{0,59}$`)
)

// readPayment reads what a person typed. The payee has one form, in which twofa shows and
// returns it, too: composed characters (NFC), and one plain space between words.
func readPayment(amount, payee string) (*payment, error) {
	m := validAmount.FindStringSubmatch(strings.TrimSpace(amount))
	if m == nil {
		return nil, errAmount
	}
	cents, err := strconv.ParseInt(m[1]+(m[2] + "00")[:2], 10, 64)
	if err != nil || cents == 0 {
		return nil, errAmount
	}
	payee = norm.NFC.String(strings.Join(strings.Fields(payee), " "))
	if !validPayee.MatchString(payee) {
		return nil, errPayee
	}
	return &payment{Cents: cents, Payee: payee}, nil
}

// pay takes an order, and has the person asked for its approval. The same form, sent twice, is
// one order and sends one message. A new order takes the place of one that waits.
func (b *bank) pay(w http.ResponseWriter, r *http.Request) {
	s, ok := b.signedIn(w, r)
	if !ok {
		return
	}
	v := b.account(s)
	v.Amount, v.Payee, v.Own = r.PostFormValue("amount"), r.PostFormValue("payee"), r.PostFormValue("way") == "own"
	once := r.PostFormValue("once")
	if once == "" {
		once = random()
	}
	p, err := readPayment(v.Amount, v.Payee)
	if err == nil && p.Cents > v.Balance {
		err = errFunds
	}
	if err != nil {
		b.refuse(w, "home", view{Home: v, Once: once}, err)
		return
	}
	p.ID = b.derive("payment", s.Name, p.Amount(), p.Payee, strconv.FormatBool(v.Own), once)
	if b.accounts.made(s.Name, p.ID) {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	var to page
	state := b.derive("payment state", p.ID)
	if v.Own {
		p.verification, err = b.twofa.start(r.Context(), p.order(s.Name), b.derive("payment key", p.ID))
	} else {
		to, err = b.twofa.startPage(r.Context(), p.order(s.Name), back{b.url + "/pay/done", state}, b.derive("payment key", p.ID))
		p.page = to.Session
	}
	if err != nil {
		b.refuse(w, "home", view{Home: v, Once: once}, err)
		return
	}
	b.change(r, func(s *session) {
		if s.payment == nil || s.payment.ID != p.ID {
			s.payment = p
		}
	})
	if v.Own {
		http.Redirect(w, r, "/pay/code", http.StatusSeeOther)
		return
	}
	b.sendTo(w, r, to, payStateCookie, state)
}

// payForm shows the payment that waits, and asks for the code.
func (b *bank) payForm(w http.ResponseWriter, r *http.Request) {
	s, ok := b.signedIn(w, r)
	if !ok {
		return
	}
	if s.payment == nil || s.payment.verification.ID == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	v := view{Code: payCode(s.payment)}
	if r.URL.Query().Has("again") {
		v.Done = textAgain
	}
	b.render(w, http.StatusOK, "code", v)
}

func payCode(p *payment) *codeView {
	return &codeView{Path: "/pay/code", To: p.verification.To, Payment: p}
}

// ordered returns the payment that a form is about, if it is the one that waits. If it is not, it
// answers, and ok is false.
func (b *bank) ordered(w http.ResponseWriter, r *http.Request) (s session, p *payment, ok bool) {
	if s, ok = b.signedIn(w, r); !ok {
		return s, nil, false
	}
	p = s.payment
	switch id := r.PostFormValue("payment"); {
	case b.accounts.made(s.Name, id): // the form was sent twice
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case p == nil || p.verification.ID == "" || p.ID != id: // another tab began another payment
		b.render(w, http.StatusConflict, "home", view{Error: textChanged, Home: b.account(s)})
	default:
		return s, p, true
	}
	return s, nil, false
}

func (b *bank) checkPayment(w http.ResponseWriter, r *http.Request) {
	s, p, ok := b.ordered(w, r)
	if !ok {
		return
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	if b.accounts.made(s.Name, p.ID) {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	a, err := b.twofa.check(r.Context(), p.order(s.Name), p.verification.ID, r.PostFormValue("code"))
	if err != nil {
		b.refuse(w, "code", view{Code: payCode(p)}, err)
		return
	}
	b.make(w, r, s, p, a)
}

// make makes a payment that was approved.
func (b *bank) make(w http.ResponseWriter, r *http.Request, s session, p *payment, a approval) {
	err := b.accounts.pay(s.Name, paid{ID: p.ID, Payee: p.Payee, Amount: p.Amount(), How: proven(a)}, p.Cents)
	b.forget(r, p)
	b.clear(w, payStateCookie)
	if err != nil {
		b.refuse(w, "home", view{Home: b.account(s)}, err)
		return
	}
	b.change(r, func(s *session) { s.done, s.paid = "You paid "+p.Amount()+" to "+p.Payee+".", p.page })
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// forget ends a payment that waits. One that began since goes on.
func (b *bank) forget(r *http.Request, p *payment) {
	b.change(r, func(s *session) {
		if s.payment == p {
			s.payment = nil
		}
	})
}

// resendPayment sends the code of a payment again.
func (b *bank) resendPayment(w http.ResponseWriter, r *http.Request) {
	_, p, ok := b.ordered(w, r)
	if !ok {
		return
	}
	key := b.derive("resend", p.verification.ID, r.PostFormValue("once"))
	if _, err := b.twofa.resend(r.Context(), p.verification.ID, key); err != nil {
		b.refuse(w, "code", view{Code: payCode(p), Once: r.PostFormValue("once")}, err)
		return
	}
	http.Redirect(w, r, "/pay/code?again", http.StatusSeeOther)
}

// payDone is where twofa's page sends the browser after a payment: see cameBack. The approval has
// to be one of the payment that the bank keeps.
func (b *bank) payDone(w http.ResponseWriter, r *http.Request) {
	s, ok := b.signedIn(w, r)
	if !ok {
		return
	}
	if s.paid != "" && r.URL.Query().Get("session") == s.paid { // twofa's last page was reloaded
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	p := s.payment
	if p == nil {
		p = new(payment)
	}
	from, err := b.cameBack(r, p.page, payStateCookie)
	if errors.Is(err, errElsewhere) {
		b.render(w, http.StatusForbidden, "home", view{Error: textNotYours, Home: b.account(s)})
		return
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	if b.accounts.made(s.Name, p.ID) {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	var a approval
	if err == nil {
		a, err = b.twofa.fetch(r.Context(), p.order(s.Name), from)
	}
	if mayRepeat(err) {
		b.retry(w)
		return
	}
	if err != nil {
		b.forget(r, p)
		b.clear(w, payStateCookie)
		b.render(w, http.StatusForbidden, "home", view{Error: wordsOfReturn(err, textNotYours), Home: b.account(s)})
		return
	}
	b.make(w, r, s, p, a)
}
