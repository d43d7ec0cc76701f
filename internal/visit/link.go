package visit

import (
	"errors"
	"net/http"
	"net/url"

	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/web"
)

// The ends of a link that is not followed in the session's browser.
const (
	EndLinkShown   = "link_shown"
	EndLinkExpired = "link_expired"
)

// GetLink answers with the button of a magic link. It reads no storage, gives no cookie and
// shows no code, whoever asks, and however often.
func (s *Site) GetLink(at Place) func(*http.Request) web.Answer {
	return s.Get(at, ScreenMain, func(v *Visit) web.Answer {
		if v.Now.Unix() >= v.Token.Until {
			return v.End(http.StatusGone, at.Expired, nil)
		}
		return v.Answer(http.StatusOK, v.link(nil))
	})
}

// link is the screen with the button.
func (v *Visit) link(fault *web.Fault) web.LinkScreen {
	form := v.Form("")
	form.Action = v.Place.Path
	return web.LinkScreen{Form: form, Payment: v.Payment(), Fault: fault}
}

// Link is how a link is followed in the browser of its session, on the place of the code.
type Link struct {
	// Follow goes on as if the person had typed the code. The error is an Over, or one of a check.
	Follow func(v *Visit) (web.Answer, error)
	// Leave answers for a session that does not go on. It reports false if the link has to.
	Leave func(v *Visit, err error) (a web.Answer, left bool)
}

// PostLink answers the button of a magic link. In the browser of the session the link is
// followed at another place, that of the code. In another browser, it shows the code, once a
// link, and approves nothing. A browser that is not the session's own gets no way back to the
// app.
func (s *Site) PostLink(at, code Place, l Link) func(*http.Request) web.Answer {
	return s.Post(at, func(v *Visit, _ url.Values) web.Answer {
		err := error(Over{Err: session.ErrBrowser})
		var a web.Answer
		if !v.Browser.IsZero() {
			a, err = l.Follow(v.on(code))
		}
		own := !errors.Is(err, session.ErrBrowser)
		if !own {
			a, err = v.showCode()
		}
		if err == nil {
			return a
		}
		if own {
			if a, left := l.Leave(v.on(code), err); left {
				return a
			}
		}
		return v.refuseLink(err)
	})
}

// on is the visit at another place of the session. What the token has of a link is for Follow alone.
func (v *Visit) on(place Place) *Visit {
	other := *v
	other.Place = place
	return &other
}

// OfPage is the visit with a token that has no link, as pages have it.
func (v *Visit) OfPage() *Visit {
	page := *v
	page.Token.Link = session.Link{Page: v.Token.Page}
	return &page
}

// showCode shows the code to a person whose session is in another browser. The write that
// makes it the only time comes before the code is shown.
func (v *Visit) showCode() (web.Answer, error) {
	code, err := v.Verify.ShowCode(v.Ctx, v.Token.Page, v.Token.Verification)
	if err != nil {
		return web.Answer{}, err
	}
	if _, err := v.Change(nil, func(old session.Record) (session.Record, error) { return session.Show(old, v.Token.Link, v.Now) }); err != nil {
		return web.Answer{}, err
	}
	return v.Answer(http.StatusOK, web.ShownScreen{Code: code, Payment: v.Payment()}), nil
}

// refuseLink answers a link that cannot be followed.
func (v *Visit) refuseLink(err error) web.Answer {
	o, isOver := errors.AsType[Over](err)
	p, _ := errors.AsType[*problem.Error](err)
	switch {
	case errors.Is(err, session.ErrShown):
		return v.End(http.StatusGone, EndLinkShown, ProblemOf(session.ErrShown))
	case isOver:
		return v.End(http.StatusGone, EndLinkExpired, ProblemOf(o.Err))
	case p == nil:
		return v.Failed(err)
	case p.Kind == problem.StorageUnavailable || p.Kind == problem.Internal:
		a := v.Answer(http.StatusServiceUnavailable, v.link(&web.Fault{Key: "page_error_failure"}))
		a.Problem = p
		return a
	}
	return v.End(http.StatusGone, EndLinkExpired, p)
}
