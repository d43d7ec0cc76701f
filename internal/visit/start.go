package visit

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/clientip"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/session"
	"twofa/internal/web"
	"twofa/otpsend"
)

// AddressScreen is the screen that asks for an address. Its forms are send and cancel.
func (v *Visit) AddressScreen() web.AddressScreen {
	country := v.Token.View.Country
	if country == "" {
		country = web.Country(v.Request.Header.Get("Accept-Language"))
	}
	s := web.AddressScreen{
		Form: v.Form("send"), Country: country, Countries: v.countries(), Value: v.Token.View.Typed, Fault: v.Token.View.Fault,
		Payment: v.Payment(), Cancel: v.Form("cancel"),
	}
	s.Phones, s.Emails = v.Kinds()
	if v.Token.Sent != nil {
		s.Back = v.Path(ScreenMain)
	}
	return s
}

// Payment is what the person approves with the code.
func (v *Visit) Payment() web.Payment {
	return web.Payment{Amount: v.Token.Context.Amount, Payee: v.Token.Context.Payee}
}

// Kinds are the kinds of address that the service's workflow reaches.
func (v *Visit) Kinds() (phones, emails bool) {
	for _, c := range v.Send.Workflow {
		phones, emails = phones || !c.NeedsEmail(), emails || c.NeedsEmail()
	}
	return phones, emails
}

// countries are those that both the operator and the client allow, nil for all.
func (v *Visit) countries() map[string]bool {
	all, own := v.Send.Countries, v.Client.Countries
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

// ReadAddress reads the form of an AddressScreen. The view has what the person typed, to show
// it again. If it is no address that the service's workflow reaches, the view also says so, and
// the error, of kind InvalidRequest, is for the log.
func (v *Visit) ReadAddress(form url.Values) (to string, w View, err error) {
	w = View{Typed: form.Get("address"), Country: form.Get("country")}
	if !phone.IsRegion(w.Country) {
		w.Country = ""
	}
	if len(w.Typed) > web.MaxTypedAddress {
		w.Typed = ""
	}
	to, fault := web.ReadAddress(form.Get("address"), w.Country)
	switch phones, emails := v.Kinds(); {
	case fault != "":
	case address.IsEmail(to) && !emails:
		fault = "page_error_phone"
	case !address.IsEmail(to) && !phones:
		fault = "page_error_email"
	}
	if fault != "" {
		w.Fault = &web.Fault{Key: fault, Field: true}
		return "", w, &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("visit: " + fault)}
	}
	return to, w, nil
}

// From is the request for the use case that sends codes. once names the form.
func (v *Visit) From(once string) otpsend.FromPage {
	f := otpsend.FromPage{Page: v.Token.Page, Once: once}
	if f.Page.Locale == "" {
		f.Page.Locale = v.Locale
	}
	if from := clientip.From(v.Ctx); from.Usable {
		f.Addr = from.Addr
	}
	return f
}

// Start starts a verification, and makes it the session's. to is "" for the page's own address
// or user. If the start was refused before anything was stored, the session keeps the code that
// it had. The error is one of StartOnPage, or an Over.
func (v *Visit) Start(from otpsend.FromPage, to string) (*session.Sent, error) {
	var before session.Record
	var id otp.ID
	from.Bind = func(ctx context.Context, row otp.RowKey, started otp.ID) error {
		rec, err := v.Sessions.Change(ctx, v.Token.Session, func(old session.Record) (session.Record, error) {
			before, id = old, started
			return session.Begin(old, v.Token.Page, v.Browser, row, started, from.Browser.ID, !v.Token.Given, v.Now)
		})
		return refused(rec, err)
	}
	shown, err := v.Send.StartOnPage(v.Ctx, from, to)
	if p, ok := errors.AsType[*problem.Error](err); ok && p.ID == "" && problem.Is(p, notStored...) && before.Verification != id {
		if _, lost := v.Change(nil, func(old session.Record) (session.Record, error) { return session.Undo(old, before, id), nil }); lost != nil {
			reqlog.Add(v.Ctx, slog.String("not_undone", lost.Error()))
		}
	}
	return shown, err
}

// notStored are the kinds of a start that stored nothing.
var notStored = []problem.Kind{
	problem.TooManySends, problem.TooManyChecks, problem.ResendTooSoon, problem.DestinationRefused, problem.InvalidRequest, problem.IdempotencyConflict,
}

// Sent goes on with the code that was sent, on the main screen.
func (v *Visit) Sent(shown *session.Sent, notice string) web.Answer {
	v.Token.Sent = shown
	return v.Redirect(ScreenMain, View{Notice: notice}, nil)
}

// MayOffer reports whether a page offers a channel: a call only after a message failed.
func MayOffer(c channel.Channel, sent *session.Sent) bool {
	return slices.Contains(sent.Workflow, c) && c != channel.Inbound && (c != channel.Call || sent.Failed)
}
