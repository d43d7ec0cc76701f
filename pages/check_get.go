package pages

import (
	"net/http"
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/session"
	"twofa/internal/web"
)

// The screens, as the last segment of the path names them. "" is the code or, before one was
// sent, the address.
const (
	screenMain     = ""
	screenAddress  = "address"
	screenHelp     = "help"
	screenApp      = "app"
	screenRecovery = "recovery"
	screenEnd      = "end"
	screenNone     = "none" // the address of a form, at which nothing can be looked at
)

// GetCheck answers with a screen of the page for a code. It reads no storage.
func (s *Site) GetCheck(screen string) func(*http.Request) Answer {
	return s.get(checkPlace, screen, func(v *visit) Answer {
		if err := v.giveSession(); err != nil {
			return v.failed(err)
		}
		return v.answer(http.StatusOK, v.screen(screen))
	})
}

// screen returns what a screen shows, the main one if t has nothing for it.
func (v *visit) screen(name string) any {
	t := v.token
	switch sent := t.Sent; {
	case sent == nil && t.Given && name == screenHelp:
		return v.others()
	case sent == nil && t.Given && name == screenMain && !t.App:
		return v.factor(web.WayRecovery, screenRecovery)
	case sent == nil && t.Given && name == screenMain:
		return v.factor(web.WayApp, screenApp)
	case name == screenApp && t.App:
		return v.factor(web.WayApp, screenApp)
	case name == screenRecovery && t.Recovery:
		return v.factor(web.WayRecovery, screenRecovery)
	case sent == nil || name == screenAddress && !t.Given:
		return v.address()
	case name == screenHelp:
		return v.help(sent)
	default:
		return v.code(sent)
	}
}

func (v *visit) address() web.AddressScreen {
	country := v.token.View.Country
	if country == "" {
		country = web.Country(v.request.Header.Get("Accept-Language"))
	}
	s := web.AddressScreen{
		Form: v.form("send"), Country: country, Countries: v.countries(), Value: v.token.View.Typed, Fault: v.token.View.Fault,
		Payment: v.payment(), Cancel: v.form("cancel"),
	}
	s.Phones, s.Emails = v.kinds()
	if v.token.Sent != nil {
		s.Back = v.path(screenMain)
	}
	return s
}

// kinds are the kinds of address that the service's workflow reaches.
func (v *visit) kinds() (phones, emails bool) {
	for _, c := range v.Send.Workflow {
		phones, emails = phones || !c.NeedsEmail(), emails || c.NeedsEmail()
	}
	return phones, emails
}

// countries are those that both the operator and the client allow, nil for all.
func (v *visit) countries() map[string]bool {
	all, own := v.Send.Countries, v.client.Countries
	switch {
	case all == nil:
		return own
	case own == nil:
		return all
	}
	both := make(map[string]bool)
	for code := range own {
		if all[code] {
			both[code] = true
		}
	}
	return both
}

func (v *visit) code(sent *session.Sent) web.CodeScreen {
	s := web.CodeScreen{
		Form: v.form("code"), Way: web.WayMessage, Channel: sent.Channel, To: sent.To, Digits: sent.Digits, Length: sent.Length,
		ExpiresAt: time.Unix(sent.ExpiresAt, 0), Fault: v.token.View.Fault, Notice: v.token.View.Notice,
		Payment: v.payment(), AskShared: true, Cancel: v.form("cancel"),
	}
	help := v.form("help")
	s.HelpForm = &help
	if v.token.View.Dead || v.now.Unix() >= sent.ExpiresAt {
		form := v.form("new")
		s.NewCode = &form
	}
	return s
}

func (v *visit) factor(way web.Way, name string) web.CodeScreen {
	return web.CodeScreen{
		Form: v.form(name), Way: way, Digits: way == web.WayApp, Fault: v.token.View.Fault, Help: v.path(screenHelp), Cancel: v.form("cancel"),
	}
}

// others is the screen with other ways where no message could be sent.
func (v *visit) others() web.HelpScreen {
	form := v.form("new")
	s := web.HelpScreen{NewCode: &form, Fault: v.token.View.Fault, Back: v.path(screenMain), Cancel: v.form("cancel")}
	v.addFactors(&s)
	return s
}

// addFactors adds the factors that need no message.
func (v *visit) addFactors(s *web.HelpScreen) {
	if v.token.App {
		s.App = v.path(screenApp)
	}
	if v.token.Recovery {
		s.Recovery = v.path(screenRecovery)
	}
}

func (v *visit) help(sent *session.Sent) web.HelpScreen {
	t := v.token
	s := web.HelpScreen{
		Channel: sent.Channel, To: sent.To, Fault: t.View.Fault, Back: v.path(screenMain), Cancel: v.form("cancel"),
	}
	if left := sent.ExpiresAt - v.now.Unix(); t.View.Dead || left < int64(otp.MinResendLeft/time.Second) {
		form := v.form("new")
		s.NewCode = &form
	} else {
		form := v.form("resend")
		s.Resend = &form
		if sent.ResendAfter > 0 {
			s.ResendAfter = time.Unix(sent.ResendAfter, 0)
		}
		for _, c := range sent.Workflow {
			if c != sent.Channel && mayOffer(c, sent) {
				s.Others = append(s.Others, web.ChannelForm{Channel: c, Form: v.form("resend")})
			}
		}
	}
	v.addFactors(&s)
	if !t.Given {
		s.Address = v.path(screenAddress)
	}
	return s
}

// mayOffer reports whether a page offers a channel: a call only after a message failed.
func mayOffer(c channel.Channel, sent *session.Sent) bool {
	return slices.Contains(sent.Workflow, c) && c != channel.Inbound && (c != channel.Call || sent.Failed)
}

func (v *visit) payment() web.Payment {
	return web.Payment{Amount: v.token.Context.Amount, Payee: v.token.Context.Payee}
}
