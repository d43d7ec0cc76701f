package pages

import (
	"errors"
	"net/http"
	"net/url"

	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/web"
	"twofa/otpverify"
)

// The ends of a link that is not followed in the session's browser.
const (
	endLinkShown   = "link_shown"
	endLinkExpired = "link_expired"
)

// GetLink answers with the button of a magic link. It reads no storage, gives no cookie and
// shows no code, whoever asks, and however often.
func (s *Site) GetLink() func(*http.Request) Answer {
	return s.get(linkPlace, screenMain, func(v *visit) Answer {
		if v.now.Unix() >= v.token.Until {
			return v.end(http.StatusGone, v.place.expired, nil)
		}
		return v.answer(http.StatusOK, v.link(nil))
	})
}

// link is the screen with the button.
func (v *visit) link(fault *web.Fault) web.LinkScreen {
	form := v.form("")
	form.Action = session.LinkPath
	return web.LinkScreen{Form: form, Payment: v.payment(), Fault: fault}
}

// PostLink answers the button of a magic link. In the browser of the session it is as if the
// person had typed the code there. In another browser, it shows the code, once a link, and
// approves nothing.
func (s *Site) PostLink() func(*http.Request) Answer {
	return s.post(linkPlace, func(v *visit, _ url.Values) Answer {
		err := error(over{error: session.ErrBrowser})
		var a Answer
		if !v.browser.IsZero() {
			a, err = v.follow()
		}
		own := !errors.Is(err, session.ErrBrowser)
		if !own {
			a, err = v.showCode()
		}
		if err != nil {
			return v.refuseLink(err, own)
		}
		return a
	})
}

// follow approves the session's verification, if the session is this browser's.
func (v *visit) follow() (Answer, error) {
	loaded, rec, err := v.bound()
	switch {
	case err != nil:
		return Answer{}, err
	case rec.Verification != v.token.Verification:
		return Answer{}, over{rec, session.ErrOldLink}
	}
	approval, err := v.Verify.CheckOnPage(v.ctx, otpverify.PageCheck{
		Page: v.token.Page, ID: v.token.Verification, Factor: otpverify.FactorMessage, Link: v.token.Attempt,
		Browser: rec.Known, Proves: v.known.ID,
	})
	if err != nil {
		return Answer{}, err
	}
	return v.onCheck().approve(loaded, approval, false)
}

// onCheck is the visit as one of the page for the code, on which a link goes on.
func (v *visit) onCheck() *visit {
	check := *v
	check.place, check.token.Link = checkPlace, session.Link{Page: v.token.Page}
	return &check
}

// showCode shows the code to a person whose session is in another browser. The write that
// makes it the only time comes before the code is shown.
func (v *visit) showCode() (Answer, error) {
	code, err := v.Verify.ShowCode(v.ctx, v.token.Page, v.token.Verification)
	if err != nil {
		return Answer{}, err
	}
	if _, err := v.change(nil, func(old session.Record) (session.Record, error) { return session.Show(old, v.token.Link, v.now) }); err != nil {
		return Answer{}, err
	}
	return v.answer(http.StatusOK, web.ShownScreen{Code: code, Payment: v.payment()}), nil
}

// refuseLink answers a link that cannot be followed. A browser that is not the session's own gets
// no way back to the app.
func (v *visit) refuseLink(err error, own bool) Answer {
	o, isOver := errors.AsType[over](err)
	if isOver && own {
		if a, left := v.onCheck().leave(o); left {
			return a
		}
	}
	p, _ := errors.AsType[*problem.Error](err)
	if own && p != nil && p.Kind == problem.Denied {
		return v.onCheck().redirect(screenEnd, view{End: endDenied}, p)
	}
	switch {
	case errors.Is(err, session.ErrShown):
		return v.end(http.StatusGone, endLinkShown, problemOf(session.ErrShown))
	case isOver:
		return v.end(http.StatusGone, endLinkExpired, problemOf(o.error))
	case p == nil:
		return v.failed(err)
	case p.Kind == problem.StorageUnavailable || p.Kind == problem.Internal:
		a := v.answer(http.StatusServiceUnavailable, v.link(&web.Fault{Key: "page_error_failure"}))
		a.Problem = p
		return a
	}
	return v.end(http.StatusGone, endLinkExpired, p)
}
