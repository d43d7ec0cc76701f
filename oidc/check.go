package oidc

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"

	"twofa/internal/account"
	"twofa/internal/clientip"
	"twofa/internal/guard"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/signin"
	"twofa/internal/user"
	"twofa/internal/visit"
	"twofa/internal/web"
	"twofa/otpverify"
)

// factors are those of a check, by what is proven. "" is a code that was sent.
var factors = map[account.Kind]string{"": otpverify.FactorMessage, account.App: otpverify.FactorTOTP, account.Recovery: otpverify.FactorRecovery}

// check is the form with a code. screen is where it is typed.
func (s *SignIn) check(kind account.Kind, screen string) action {
	return func(v *visit.Visit, at progress, form url.Values) web.Answer {
		switch {
		case at.try == nil:
			return v.End(http.StatusBadRequest, visit.EndLink, errPlace)
		case at.draft.SignedIn && (kind != "" || !at.draft.Adding()): // the form was sent twice, or the person came back
			return s.again(v, at)
		case kind != "" && at.draft.Adding():
			return v.End(http.StatusBadRequest, visit.EndLink, errPlace)
		case kind == "" && at.draft.Verification != at.record.Verification:
			return v.Redirect(screenAddress, visit.View{Fault: &web.Fault{Key: "page_error_failure"}}, errNewer)
		}
		check := otpverify.PageCheck{
			Page: v.Token.Page, ID: at.record.Verification, Factor: factors[kind], Code: form.Get("code"),
			Browser: at.record.Known, Proves: v.Known(), Remember: form.Get("shared") == "", Silent: at.draft.Silent && kind == "",
		}
		if kind != "" {
			name, err := s.holder(v, at)
			if err != nil {
				return s.refuse(v, err, screen, visit.View{})
			}
			if name == "" {
				return v.End(http.StatusBadRequest, visit.EndLink, errPlace)
			}
			check.Page.User = s.Accounts.Key(name)
		}
		approval, err := s.tried(v, at, check)
		if err != nil {
			a := s.refuse(v, visit.CodeError{Err: err, Factor: check.Factor}, screen, visit.View{})
			if !mayGoOn(err) {
				s.waitUntil(v)
			}
			return a
		}
		return s.approved(v, at, kind, approval, device{shared: !check.Remember, trust: form.Get("remember") != ""})
	}
}

// device is what a person has said of the device: other people use it, too, or it is to be remembered.
type device struct{ shared, trust bool }

// mayGoOn reports whether the code may be typed again. The answer to any other refusal waits: the warning that goes
// out after the last wrong code must not tell, and a code that cannot be used any more may cost a write for one
// address and none for another.
func mayGoOn(err error) bool {
	p, ok := errors.AsType[*problem.Error](err)
	return ok && (p.Kind == problem.InvalidRequest || p.Kind == problem.WrongCode && p.ChecksLeft != nil && *p.ChecksLeft > 0)
}

// again goes on for a person who has signed in before in this sign-in, and still is.
func (s *SignIn) again(v *visit.Visit, at progress) web.Answer {
	p, err := s.person(v, at)
	switch {
	case err != nil:
		return s.refuse(v, err, visit.ScreenMain, visit.View{})
	case p.isNobody():
		return v.Redirect(screenAddress, visit.View{}, errGone)
	}
	return s.goOn(v, at, p)
}

// holder is the name of the account whose app or recovery code may be typed: the one that was proven, or
// that of the address that was proven in this browser before. "" if there is none.
func (s *SignIn) holder(v *visit.Visit, at progress) (string, error) {
	if at.draft.Account != "" || !at.draft.Known {
		return at.draft.Account, nil
	}
	u, _, err := s.Accounts.Find(v.Ctx, at.draft.Address, v.Now)
	return u.Name, err
}

// attempt is a code that is checked under the limit of wrong codes from one client address.
type attempt struct {
	ticket *guard.Ticket
	wrong  bool
}

func (s *SignIn) beginTry(v *visit.Visit) *attempt {
	var addr netip.Addr
	if from := clientip.From(v.Ctx); from.Usable {
		addr = from.Addr
	}
	return &attempt{ticket: s.Guard.BeginCheck(v.Ctx, addr, v.Now)}
}

func (t *attempt) end() { t.ticket.End(t.wrong) }

// tried checks a code. The limit does not hold in a browser in which the address was proven before.
func (s *SignIn) tried(v *visit.Visit, at progress, check otpverify.PageCheck) (otpverify.PageApproval, error) {
	if at.draft.Known {
		return v.Verify.CheckOnPage(v.Ctx, check)
	}
	if err := at.try.ticket.Admit(); err != nil {
		return otpverify.PageApproval{}, err
	}
	a, err := v.Verify.CheckOnPage(v.Ctx, check)
	at.try.wrong = problem.Is(err, problem.WrongCode)
	return a, err
}

// approved goes on after a code was right.
func (s *SignIn) approved(v *visit.Visit, at progress, kind account.Kind, approval otpverify.PageApproval, on device) web.Answer {
	if approval.Test && !v.Client.TestNumbers {
		return s.refuse(v, errGone, visit.ScreenMain, visit.View{})
	}
	if kind == "" && approval.Address == "" { // no message has reached anybody, as far as is known
		return s.refuse(v, errGone, visit.ScreenMain, visit.View{})
	}
	proof := account.Proof{Kind: kind, At: approval.At}
	if kind == "" {
		proof = account.Proof{Kind: account.KindOf(approval.Address), Address: approval.Address, Channel: approval.Channel, At: approval.At, Test: approval.Test}
		if !on.shared && !at.draft.Shared {
			if err := v.Remember(approval.Address, approval.At); err != nil {
				reqlog.Add(v.Ctx, slog.String("not_remembered", err.Error()))
			}
		}
		if at.draft.Adding() {
			return s.add(v, at, proof)
		}
	}
	u, err := s.proven(v, at, proof)
	switch kind {
	case account.App:
		for _, a := range u.TOTP.Confirmed() {
			if a.ID == approval.App {
				proof.Since = a.ConfirmedAt
			}
		}
	case account.Recovery:
		proof.Since = u.Recovery.MadeAt
	}
	if errors.Is(err, errNoAccount) && s.Provider.SignUp {
		return s.own(v, at, proof, on)
	}
	if err != nil {
		return s.refuse(v, err, visit.ScreenMain, visit.View{})
	}
	return s.prove(v, at, proof, u, on)
}

// prove goes on after something was proven of an account: the person is in, or needs more.
func (s *SignIn) prove(v *visit.Visit, at progress, proof account.Proof, u user.User, on device) web.Answer {
	prove := func(d signin.Draft) (signin.Draft, error) {
		d.Shared, d.Trust = d.Shared || on.shared, d.Trust || on.trust
		return d.Prove(u.Name, u.Account.Epoch, proof)
	}
	d, err := prove(at.draft)
	if err == nil && s.enough(v, at.req, d, u) {
		return s.signIn(v, at, d, u)
	}
	if err == nil {
		at, err = s.keep(v, at, prove)
	}
	if err != nil {
		return s.refuse(v, gone(err), visit.ScreenMain, visit.View{})
	}
	if len(u.Account.Others(signin.Has(u), at.draft.Proofs)) == 0 {
		return v.Redirect(screenAddress, visit.View{Fault: &web.Fault{Key: "page_account_new"}}, errAlone)
	}
	return v.Redirect(screenSecond, visit.View{}, nil)
}

// The refusals of proofs.
var (
	errGone      = &problem.Error{Kind: problem.Expired, Err: errors.New("oidc: the address opens another account than before, or none")}
	errNoAccount = &problem.Error{Kind: problem.Expired, Err: errors.New("oidc: the address opens no account")}
	errNewer     = &problem.Error{Kind: problem.Expired, Err: errors.New("oidc: the session has a newer code than its draft")}
	errAlone     = &problem.Error{Kind: problem.Forbidden, Err: errors.New("oidc: the address does not suffice alone, and the account has nothing else")}
)

// gone turns a refusal of package signin into a problem.
func gone(err error) error {
	if errors.Is(err, signin.ErrTaken) || errors.Is(err, signin.ErrOtherAccount) {
		return errGone
	}
	return err
}

// proven is the account that a proof is of.
func (s *SignIn) proven(v *visit.Visit, at progress, proof account.Proof) (user.User, error) {
	if proof.Address == "" {
		name, err := s.holder(v, at)
		if err != nil {
			return user.User{}, err
		}
		return s.Accounts.Load(v.Ctx, s.Accounts.Key(name), v.Now)
	}
	u, ok, err := s.Accounts.Find(v.Ctx, proof.Address, v.Now)
	if err == nil && !ok {
		err = errNoAccount
	}
	return u, err
}

// enough reports whether proofs sign in to an account as it is now, and whether they are as strong as the app
// asks, where the account can be.
func (s *SignIn) enough(v *visit.Visit, req Request, d signin.Draft, u user.User) bool {
	has, seen := signin.Has(u), s.seen(v, u, req, d.Known)
	return u.Account.Epoch == d.Epoch && u.Account.Suffices(d.Proofs, has, seen, s.Stale, v.Now) &&
		(!req.Strong || seen.Trusted || u.Account.Strong(d.Proofs, v.Now) || !u.Account.CanBeStronger(d.Proofs, has, v.Now))
}

// signIn signs the person in to the account of a draft, and goes on to the app. The browser gets another id, so that
// a copy of its cookie is worth nothing.
func (s *SignIn) signIn(v *visit.Visit, at progress, d signin.Draft, was user.User) web.Answer {
	for _, p := range d.Proofs {
		if a, ok := was.Account.Find(p.Address); ok && a.ProvenAt.IsZero() { // the index row of a given address would end
			if err := s.Accounts.Claim(v.Ctx, p.Address, d.Account, false, v.Now); err != nil {
				return s.refuse(v, gone(err), visit.ScreenMain, visit.View{})
			}
		}
	}
	in := account.Entry{Proofs: d.Proofs, Client: v.Client.ID, Label: browserLabel(v.Request), Before: s.cookie(v.Request).of(d.Account).ID, Trust: d.Trust && s.TrustFor > 0}
	if !d.Shared {
		in.ID = account.NewSessionID()
	}
	u, err := s.Accounts.Change(v.Ctx, s.Accounts.Key(d.Account), v.Now, func(old user.User) (user.User, error) {
		if !s.enough(v, at.req, d, old) { // changed since it was read
			return old, errGone
		}
		in.Strong = old.Account.Strong(d.Proofs, v.Now)
		in.ByTrust = !in.Strong && s.seen(v, old, at.req, d.Known).Trusted
		in.Strong = in.Strong || in.ByTrust
		old.Account = old.Account.SignIn(in, v.Now)
		return old, nil
	})
	if err != nil {
		return s.refuse(v, err, visit.ScreenMain, visit.View{})
	}
	if err := s.giveSession(v, u, in.ID); err != nil {
		return v.Failed(err)
	}
	d.Strong, d.ByTrust = in.Strong, in.ByTrust
	hasSession := s.Session > 0 && !d.Shared
	if at, err = s.keep(v, at, func(now signin.Draft) (signin.Draft, error) { return now.SignIn(d, hasSession) }); err != nil {
		return s.refuse(v, err, visit.ScreenMain, visit.View{})
	}
	p := signedIn{user: u, at: account.Newest(d.Proofs), proofs: d.Proofs, strong: d.Strong, byTrust: d.ByTrust}
	if hasSession {
		p.cookie = accountEntry{Account: u.Name, ID: in.ID, Epoch: u.Account.Epoch}
		p.browser, _ = u.Account.Browser(in.ID, u.Account.Epoch, v.Now)
	}
	return s.goOn(v, at, p)
}

// refuse answers what could not be done: the session is over, or the person can go on from a screen with an
// error, which never tells what became of a message.
func (s *SignIn) refuse(v *visit.Visit, err error, screen string, w visit.View) web.Answer {
	if o, ok := errors.AsType[visit.Over](err); ok {
		a, left := v.Leave(o)
		if !left {
			a = v.Redirect(visit.ScreenEnd, visit.View{End: endExpired}, visit.ProblemOf(o.Err))
		}
		return a
	}
	p, ok := errors.AsType[*problem.Error](err)
	switch {
	case !ok:
		return v.Failed(err)
	case errors.Is(err, errRequest):
		return v.End(http.StatusBadRequest, visit.EndLink, err)
	}
	w.Fault = v.Fault(err, w.Typed)
	switch p.Kind {
	case problem.Expired, problem.Canceled, problem.NotFound, problem.TooManyChecks:
		w.Dead = w.Dead || screen == visit.ScreenMain || screen == screenHelp
	case problem.WrongCode:
		w.Dead = screen == visit.ScreenMain && p.ChecksLeft != nil && *p.ChecksLeft == 0
	}
	return v.Redirect(screen, w, err)
}
