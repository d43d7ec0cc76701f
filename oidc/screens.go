package oidc

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"twofa/internal/account"
	"twofa/internal/address"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/signin"
	"twofa/internal/user"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// Get answers with a screen of a sign-in.
func (s *SignIn) Get(name string) func(*http.Request) web.Answer {
	return s.Site.Get(place, name, func(v *visit.Visit) web.Answer { return s.show(v, name) })
}

// show answers with a screen. It reads the session's row for the screens that show something of the account, and
// for no other.
func (s *SignIn) show(v *visit.Visit, name string) web.Answer {
	if err := v.GiveSession(); err != nil {
		return v.Failed(err)
	}
	switch {
	case name == screenConsent || name == screenSecond || name == screenSignUp || name == screenDetails:
		return s.getStored(v, name)
	case name == screenApp || name == screenRecovery:
		return v.Answer(http.StatusOK, s.factorScreen(v, name))
	case v.Token.Sent == nil || name == screenAddress:
		return v.Answer(http.StatusOK, s.addressScreen(v))
	case name == screenHelp:
		return v.Answer(http.StatusOK, s.helpScreen(v))
	}
	return v.Answer(http.StatusOK, s.codeScreen(v))
}

// addressScreen asks for an address: to sign in, or one of a kind that is added to an account.
func (s *SignIn) addressScreen(v *visit.Visit) web.AddressScreen {
	screen := v.AddressScreen()
	if kind := adds(v); kind != "" {
		screen.Add, screen.Phones, screen.Emails = true, kind == account.Phone, kind == account.Email
		screen.Required = slices.Contains(v.Client.Require, string(kind)) && v.Token.FormAction != "" // to the app
	}
	screen.SignIn = !screen.Add
	if screen.SignIn && s.Provider.SignUp {
		form := v.Form("join")
		screen.Join = &form
	}
	return screen
}

// codeScreen asks for the code of a message.
func (s *SignIn) codeScreen(v *visit.Visit) web.CodeScreen {
	sent, help := v.Token.Sent, v.Form("help")
	screen := web.CodeScreen{
		Form: v.Form("code"), Way: web.WayQuiet, To: sent.To, Email: address.IsEmail(sent.Address), Digits: sent.Digits, Length: sent.Length,
		ExpiresAt: time.Unix(sent.ExpiresAt, 0), Fault: v.Token.View.Fault, Notice: v.Token.View.Notice, AskShared: adds(v) == "", HelpForm: &help, Cancel: v.Form("cancel"),
	}
	switch {
	case adds(v) != "": // a new address of an account: there is nothing to hide
		screen.Way, screen.Channel = web.WayMessage, sent.Channel
	case s.Provider.SignUp: // a code is sent to everybody
		screen.Way = web.WayOpen
	}
	screen.AskTrust = s.askTrust(v)
	if v.Token.View.Dead || v.Now.Unix() >= sent.ExpiresAt {
		form := v.Form("new")
		screen.NewCode = &form
	}
	return screen
}

// helpScreen has what a person can do who did not get the code. It does not depend on what became of the
// message.
func (s *SignIn) helpScreen(v *visit.Visit) web.HelpScreen {
	sent := v.Token.Sent
	screen := web.HelpScreen{To: sent.To, Fault: v.Token.View.Fault, Address: v.Path(screenAddress), Back: v.Path(visit.ScreenMain), Cancel: v.Form("cancel")}
	if left := sent.ExpiresAt - v.Now.Unix(); v.Token.View.Dead || left < int64(otp.MinResendLeft/time.Second) {
		form := v.Form("new")
		screen.NewCode = &form
	} else {
		form := v.Form("resend")
		screen.Resend = &form
		if sent.ResendAfter > 0 {
			screen.ResendAfter = time.Unix(sent.ResendAfter, 0)
		}
		if others := s.channels(sent.Address); len(others) > 1 {
			for _, c := range others {
				screen.Others = append(screen.Others, web.ChannelForm{Channel: c, Form: v.Form("resend")})
			}
		}
	}
	if sent.Known && adds(v) == "" { // offered to everybody in whose browser the address was proven
		screen.App, screen.Recovery = v.Path(screenApp), v.Path(screenRecovery)
	}
	return screen
}

// askTrust is until when the device would be remembered, zero if the person is not asked: only a second thing is
// left out later.
func (s *SignIn) askTrust(v *visit.Visit) (until time.Time) {
	if s.TrustFor > 0 && moreOf(v) == second {
		until = v.Now.Add(s.TrustFor)
	}
	return until
}

// factorScreen asks for the code of an app, or for a recovery code.
func (s *SignIn) factorScreen(v *visit.Visit, name string) web.CodeScreen {
	way, others := web.WayApp, screenHelp
	if name == screenRecovery {
		way = web.WayRecovery
	}
	if moreOf(v) == second {
		others = screenSecond
	}
	return web.CodeScreen{Form: v.Form(name), Way: way, Digits: way == web.WayApp, Fault: v.Token.View.Fault, Help: v.Path(others), Cancel: v.Form("cancel"), AskTrust: s.askTrust(v)}
}

// getStored answers with a screen that shows something of the account of this session. Two round trips.
func (s *SignIn) getStored(v *visit.Visit, name string) web.Answer {
	at, err := s.enter(v, "")
	if err != nil {
		return s.stored(v, err)
	}
	if name == screenConsent {
		p, err := s.person(v, at)
		if err != nil || p.isNobody() || at.draft.Goal != signin.ToApp {
			return s.stored(v, errors.Join(err, errGone))
		}
		return v.Answer(http.StatusOK, consentScreen(v, at.req, s.Provider.seenBy(v.Client, p.user.Account), ""))
	}
	if name == screenSignUp || name == screenDetails {
		return s.showSignUp(v, at, name)
	}
	if len(at.draft.Proofs) == 0 || at.draft.SignedIn {
		return s.stored(v, errGone)
	}
	u, err := s.Accounts.Load(v.Ctx, s.Accounts.Key(at.draft.Account), v.Now)
	if err != nil {
		return s.stored(v, err)
	}
	return v.Answer(http.StatusOK, secondScreen(v, u, at.draft.Proofs))
}

// secondScreen offers what can be proven beside the proofs.
func secondScreen(v *visit.Visit, u user.User, proofs []account.Proof) web.SecondScreen {
	v.Token.More = more(second)
	screen := web.SecondScreen{Fault: v.Token.View.Fault, Cancel: v.Form("cancel")}
	for _, k := range u.Account.Others(signin.Has(u), proofs) {
		switch k {
		case account.App:
			screen.App = v.Path(screenApp)
		case account.Recovery:
			screen.Recovery = v.Path(screenRecovery)
		default:
			screen.Messages = append(screen.Messages, web.MessageForm{ID: string(k), To: address.Mask(u.Account.Of(k)), Email: k == account.Email, Form: v.Form("more")})
		}
	}
	return screen
}

// stored answers a screen that cannot be shown. It never redirects, which could come back.
func (s *SignIn) stored(v *visit.Visit, err error) web.Answer {
	status := http.StatusGone
	if problem.Is(err, problem.StorageUnavailable, problem.Internal) {
		status = http.StatusServiceUnavailable
	}
	return v.End(status, endExpired, err)
}
