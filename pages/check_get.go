package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"crypto/rand"

	"twofa/internal/capability"
	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/session"
	"twofa/internal/web"
	"twofa/otpsend"
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

// The reasons of an end: see page_end_ in the texts.
const (
	endDone     = "done"
	endCanceled = "canceled"
	endDenied   = "denied"
	endFailed   = "failed"
	endExpired  = "expired"
	endBrowser  = "browser"
	endCookies  = "cookies"
	endLink     = "link"
)

// Get answers with a screen. It reads no storage.
func (c *Check) Get(screen string) func(*http.Request) Answer {
	return func(r *http.Request) Answer {
		v, err := c.enter(r, r.URL.Query().Get("t"))
		if err == nil && screen == screenNone {
			err = errLink
		}
		if err != nil {
			return v.end(http.StatusBadRequest, endLink, err)
		}
		if screen == screenEnd {
			return v.ended()
		}
		if v.token.Over(v.now) {
			return v.end(http.StatusGone, endExpired, nil)
		}
		if err := v.giveSession(); err != nil {
			return v.failed(err)
		}
		return v.answer(http.StatusOK, v.screen(screen))
	}
}

// screen returns what a screen shows, the main one if t has nothing for it.
func (v *visit) screen(name string) any {
	t := v.token
	switch sent := t.Sent; {
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
	if all == nil || own == nil {
		if all == nil {
			return own
		}
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
	if t.App {
		s.App = v.path(screenApp)
	}
	if t.Recovery {
		s.Recovery = v.path(screenRecovery)
	}
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

// form is a form of the page as it is now.
func (v *visit) form(action string) web.Form {
	return web.Form{Action: otpsend.PagePath + "/" + action, Token: v.t, Once: rand.Text()}
}

// path is the path of a screen with the page as it is now, but without what the last POST
// said.
func (v *visit) path(screen string) string {
	t := v.token
	t.View = view{Dead: t.View.Dead}
	return v.pathOf(screen, t)
}

func (v *visit) pathOf(screen string, t token) string {
	text, err := capability.Seal(v.Keys, capability.Page, t)
	if err != nil { // what was typed is too long to be shown again
		t.View = view{}
		text, _ = capability.Seal(v.Keys, capability.Page, t)
	}
	path := otpsend.PagePath
	if screen != screenMain {
		path += "/" + screen
	}
	return path + "?t=" + text
}

// ended is the screen after the check, as t says.
func (v *visit) ended() Answer {
	w := v.token.View
	switch {
	case w.End == endDone && v.now.Unix() >= w.Until:
		return v.end(http.StatusGone, endExpired, nil)
	case w.End == endDone && (v.browser == session.Hash{} || v.browser != w.Browser):
		return v.end(http.StatusForbidden, endBrowser, nil)
	case w.End == "":
		return v.end(http.StatusBadRequest, endLink, errLink)
	}
	return v.end(http.StatusOK, w.End, nil)
}

// returnErrors are the values of the parameter error, by the reason of the end.
var returnErrors = map[string]string{endCanceled: "canceled", endDenied: "denied", endFailed: "failed", endExpired: "expired"}

// end answers with the screen of an end. The browser goes on by itself if the person ended the
// check.
func (v *visit) end(status int, reason string, problem error) Answer {
	s := web.EndScreen{Reason: reason, Good: reason == endDone, Auto: reason == endDone || reason == endCanceled}
	back := v.token.ReturnURL(v.client)
	query := url.Values{"session": {session.Name(v.token.Session)}}
	switch e := returnErrors[reason]; {
	case back == "":
		s.Auto = false
	case reason == endDone:
		query.Set("result", v.token.View.Result)
		s.Return = withQuery(back, query)
	case e != "":
		query.Set("error", e)
		s.Return = withQuery(back, query)
	case reason == endBrowser:
		query.Set("error", returnErrors[endFailed])
		s.Return = withQuery(back, query)
	case reason == endCookies:
		s.Again = v.path(screenMain)
	}
	a := v.answer(status, s)
	a.Problem = problem
	return a
}

// withQuery adds parameters to an address, which may have others.
func withQuery(address string, query url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + query.Encode()
}

// answer renders a screen.
func (v *visit) answer(status int, screen any) Answer {
	var look web.Look
	if v.Look != nil {
		look = v.Look(v.client)
	}
	body, err := v.Renderer.Render(v.locale, look, screen, v.now)
	if err != nil {
		return v.failed(err)
	}
	return Answer{Status: status, Header: web.Headers(), Cookies: v.cookies, Body: body}
}
