package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"twofa/internal/account"
	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/signin"
	"twofa/internal/user"
	"twofa/internal/visit"
	"twofa/internal/web"
	"twofa/otpsend"
)

// answerAfter is how long the answer to a form takes that may send a message: nobody learns from the time
// whether one was sent. A slower provider does tell (docs/signin.md).
const answerAfter = 2 * time.Second

// slow makes the answers of an action come answerAfter its request.
func (s *SignIn) slow(f action) action {
	return func(v *visit.Visit, at progress, form url.Values) web.Answer {
		a := f(v, at, form)
		s.waitUntil(v)
		return a
	}
}

// waitUntil waits until answerAfter the request.
func (s *SignIn) waitUntil(v *visit.Visit) {
	wait := s.Wait
	if wait == nil {
		wait = sleep
	}
	wait(v.Ctx, v.Now.Add(answerAfter).Sub(s.Now()))
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// send is the form with an address.
func (s *SignIn) send(v *visit.Visit, at progress, form url.Values) web.Answer {
	adding := adds(v) != "" && (at.draft.Goal == signin.ToAdd || at.draft.Adds == adds(v))
	if !adding { // an older page may say so
		v.Token.More = nil
	}
	to, w, err := v.ReadAddress(form)
	if err == nil && adding && account.KindOf(to) != adds(v) {
		w.Fault, err = &web.Fault{Key: "page_error_" + string(adds(v)), Field: true}, errKind
	}
	if err != nil {
		return v.Redirect(screenAddress, w, err)
	}
	shown, err := s.ask(v, at, form.Get("once"), to, adding, func(d signin.Draft) signin.Draft {
		d.Join.Confirmed = false
		return d
	})
	if err != nil {
		return s.refuse(v, err, screenAddress, w)
	}
	return v.Sent(shown, "")
}

// isTest reports whether an address is a test number, which is nobody's identity, unless the client takes it for
// one.
func (s *SignIn) isTest(c client.Client, to string) bool {
	return s.Send.TestNumbers.Scenario(to, s.Now()) != (otp.Scenario{}) && !c.TestNumbers
}

// ask starts a verification for an address that somebody typed, hides what became of its message, and keeps it in the
// draft, after an edit. If the address opens no account, no message is sent, unless a new person may make one. One that
// becomes one of an account, because of adding, need not open any.
func (s *SignIn) ask(v *visit.Visit, at progress, once, to string, adding bool, edit func(signin.Draft) signin.Draft) (*session.Sent, error) {
	silent := s.isTest(v.Client, to)
	var u user.User
	if !silent && !adding {
		var opens bool
		var err error
		if u, opens, err = s.Accounts.Find(v.Ctx, to, v.Now); err != nil {
			return nil, err
		}
		silent = !opens && !s.Provider.SignUp
	}
	sent, asked, err := s.start(v, once, to, silent, adding)
	if err != nil {
		return sent, err
	}
	asked.Known = asked.Known && s.seen(v, u, at.req, true).Known
	sent.Known = asked.Known
	at.loaded = nil // Start has changed the row
	_, err = s.keep(v, at, func(d signin.Draft) (signin.Draft, error) {
		if d = edit(d); adding {
			return d.AskToAdd(asked), nil
		}
		return d.Ask(asked, u.Account.Epoch), nil
	})
	return sent, err
}

// start starts a verification, and hides what became of its message, unless its address is being added.
func (s *SignIn) start(v *visit.Visit, once, to string, silent, adding bool) (*session.Sent, signin.Asked, error) {
	from := v.From(once)
	from.Browser, from.Silent = v.Proved(to), silent
	sent, err := s.hide(v, &from, adding, func() (*session.Sent, error) { return v.Start(from, to) })
	if err != nil {
		return sent, signin.Asked{}, err
	}
	return sent, signin.Asked{Address: to, Silent: from.Silent, Known: sent.Known, ID: sent.ID, At: v.Now}, nil
}

// hide makes a request for a message, and returns the verification as it would be if the message were on its
// way. What only a message to somebody can meet, the block of a provider or the person's NO, ends no request:
// it is made again as one that sends nothing. Of an address that is being added there is nothing to hide.
func (s *SignIn) hide(v *visit.Visit, from *otpsend.FromPage, adding bool, request func() (*session.Sent, error)) (*session.Sent, error) {
	shown, err := request()
	p, ok := errors.AsType[*problem.Error](err)
	if ok && p.ID == "" && problem.Is(p, problem.DestinationRefused, problem.Undeliverable, problem.Denied) && !from.Silent {
		from.Silent = true
		shown, err = request()
		p, ok = errors.AsType[*problem.Error](err)
	}
	if ok && p.ID != "" && !problem.Is(p, problem.StorageUnavailable, problem.Internal) {
		shown, _, err = v.Send.StatusOnPage(v.Ctx, v.Token.Page, otp.ID(p.ID))
	}
	if err == nil && !adding { // the length of t would tell
		shown.Channel, shown.Workflow, shown.Failed = "", nil, false
	}
	return shown, err
}

// isSignIn makes the page one of a sign-in if the code adds no address: an older page may say that it does.
func isSignIn(v *visit.Visit, adding bool) {
	if !adding && adds(v) != "" {
		v.Token.More = nil
	}
}

// sendNew is the form that sends a new code to the same address.
func (s *SignIn) sendNew(v *visit.Visit, at progress, form url.Values) web.Answer {
	if at.draft.Address == "" {
		return v.Redirect(visit.ScreenMain, visit.View{}, nil)
	}
	adding := at.draft.Adding()
	isSignIn(v, adding)
	shown, err := s.ask(v, at, form.Get("once"), at.draft.Address, adding, func(d signin.Draft) signin.Draft { return d })
	if err != nil {
		return s.refuse(v, err, visit.ScreenMain, visit.View{Dead: true})
	}
	return v.Sent(shown, "page_new_code_sent")
}

// resend is the form that sends the code again, over another channel if it names one.
func (s *SignIn) resend(v *visit.Visit, at progress, form url.Values) web.Answer {
	if at.record.Verification == "" {
		return v.Redirect(visit.ScreenMain, visit.View{}, nil)
	}
	from := v.From(form.Get("once"))
	from.Silent = at.draft.Silent
	by := channel.Channel(form.Get("channel"))
	if !slices.Contains(s.channels(at.draft.Address), by) {
		by = ""
	}
	isSignIn(v, at.draft.Adding())
	shown, err := s.hide(v, &from, at.draft.Adding(), func() (*session.Sent, error) {
		return v.Send.ResendOnPage(v.Ctx, from, at.record.Verification, by)
	})
	if err != nil {
		return s.refuse(v, err, screenHelp, visit.View{})
	}
	shown.Known = shown.Known && at.draft.Known
	return v.Sent(shown, "page_sent_again")
}

// channels are those over which a person can ask for a code. They do not depend on what became of a
// message, so there are no calls.
func (s *SignIn) channels(to string) (list []channel.Channel) {
	for _, c := range channel.Sending {
		if c != channel.Call && c.NeedsEmail() == address.IsEmail(to) && slices.Contains(s.Send.Workflow, c) {
			list = append(list, c)
		}
	}
	return list
}

// sendMore sends a code to another address of the account, after one thing was proven. It is not one of the
// addresses that the person has typed.
func (s *SignIn) sendMore(v *visit.Visit, at progress, form url.Values) web.Answer {
	if len(at.draft.Proofs) == 0 {
		return v.End(http.StatusBadRequest, visit.EndLink, errPlace)
	}
	u, err := s.Accounts.Load(v.Ctx, s.Accounts.Key(at.draft.Account), v.Now)
	if err != nil {
		return s.refuse(v, err, screenSecond, visit.View{})
	}
	if u.Account.Epoch != at.draft.Epoch {
		return v.Redirect(screenAddress, visit.View{}, errGone)
	}
	kind := account.Kind(form.Get("id"))
	to := u.Account.Of(kind)
	if to == "" || s.isTest(v.Client, to) || slices.ContainsFunc(at.draft.Proofs, func(p account.Proof) bool { return p.Kind == kind }) {
		return v.Redirect(screenSecond, visit.View{}, nil)
	}
	v.Token.Given = true
	shown, asked, err := s.start(v, form.Get("once"), to, false, false)
	v.Token.Given = false
	if err == nil {
		at.loaded = nil
		_, err = s.keep(v, at, func(d signin.Draft) (signin.Draft, error) { return d.More(u.Name, asked, u.Account.Epoch) })
	}
	if err != nil {
		return s.refuse(v, err, screenSecond, visit.View{})
	}
	v.Token.More = more(second)
	return v.Sent(shown, "")
}

// The refusals of forms.
var errKind = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("oidc: not an address of the kind that the app requires")}

var errPlace = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("oidc: the sign-in does not have this form")}
