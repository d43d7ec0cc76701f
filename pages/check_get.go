package pages

import (
	"net/http"
	"time"

	"twofa/internal/otp"
	"twofa/internal/session"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// The screens, as the last segment of the path names them. "" is the code or, before one was
// sent, the address.
const (
	screenMain     = visit.ScreenMain
	screenAddress  = "address"
	screenHelp     = "help"
	screenApp      = "app"
	screenRecovery = "recovery"
	screenEnd      = visit.ScreenEnd
)

// GetCheck answers with a screen of the page for a code. It reads no storage.
func (s *Site) GetCheck(screen string) func(*http.Request) Answer {
	return s.get(checkPlace, screen, func(v *page) Answer {
		if err := v.GiveSession(); err != nil {
			return v.Failed(err)
		}
		return v.Answer(http.StatusOK, v.screen(screen))
	})
}

// screen returns what a screen shows, the main one if t has nothing for it.
func (v *page) screen(name string) any {
	t := v.Token
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
		return v.AddressScreen()
	case name == screenHelp:
		return v.help(sent)
	default:
		return v.code(sent)
	}
}

func (v *page) code(sent *session.Sent) web.CodeScreen {
	s := web.CodeScreen{
		Form: v.Form("code"), Way: web.WayMessage, Channel: sent.Channel, To: sent.To, Digits: sent.Digits, Length: sent.Length,
		ExpiresAt: time.Unix(sent.ExpiresAt, 0), Fault: v.Token.View.Fault, Notice: v.Token.View.Notice,
		Payment: v.Payment(), AskShared: true, Cancel: v.Form("cancel"),
	}
	help := v.Form("help")
	s.HelpForm = &help
	if v.Token.View.Dead || v.Now.Unix() >= sent.ExpiresAt {
		form := v.Form("new")
		s.NewCode = &form
	}
	return s
}

func (v *page) factor(way web.Way, name string) web.CodeScreen {
	return web.CodeScreen{
		Form: v.Form(name), Way: way, Digits: way == web.WayApp, Fault: v.Token.View.Fault, Help: v.Path(screenHelp), Cancel: v.Form("cancel"),
	}
}

// others is the screen with other ways where no message could be sent.
func (v *page) others() web.HelpScreen {
	form := v.Form("new")
	s := web.HelpScreen{NewCode: &form, Fault: v.Token.View.Fault, Back: v.Path(screenMain), Cancel: v.Form("cancel")}
	v.addFactors(&s)
	return s
}

// addFactors adds the factors that need no message.
func (v *page) addFactors(s *web.HelpScreen) {
	if v.Token.App {
		s.App = v.Path(screenApp)
	}
	if v.Token.Recovery {
		s.Recovery = v.Path(screenRecovery)
	}
}

func (v *page) help(sent *session.Sent) web.HelpScreen {
	t := v.Token
	s := web.HelpScreen{
		Channel: sent.Channel, To: sent.To, Fault: t.View.Fault, Back: v.Path(screenMain), Cancel: v.Form("cancel"),
	}
	if left := sent.ExpiresAt - v.Now.Unix(); t.View.Dead || left < int64(otp.MinResendLeft/time.Second) {
		form := v.Form("new")
		s.NewCode = &form
	} else {
		form := v.Form("resend")
		s.Resend = &form
		if sent.ResendAfter > 0 {
			s.ResendAfter = time.Unix(sent.ResendAfter, 0)
		}
		for _, c := range sent.Workflow {
			if c != sent.Channel && visit.MayOffer(c, sent) {
				s.Others = append(s.Others, web.ChannelForm{Channel: c, Form: v.Form("resend")})
			}
		}
	}
	v.addFactors(&s)
	if !t.Given {
		s.Address = v.Path(screenAddress)
	}
	return s
}
