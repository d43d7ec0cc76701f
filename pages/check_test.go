package pages_test

import (
	"regexp"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/otpsend"
	"twofa/otpverify"
)

// A first page, with its style and script and all countries, is small in every language.
func TestFirstPageIsSmall(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Send.Countries = nil
	address := s.begin(otpsend.Request{}).PageURL
	for _, tag := range []string{"en", "de", "ar", "hi", "th", "ru", "ja"} {
		v := s.visitor().open(address + "&locale=" + tag)
		total := len(v.page.body)
		for _, m := range regexp.MustCompile(`"(/verify/(?:style|script)[^"]*)"`).FindAllStringSubmatch(v.page.body, -1) {
			file := s.visitor().open(strings.ReplaceAll(m[1], "&amp;", "&"))
			total += len(file.page.body)
			if file.page.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
				t.Errorf("%s is not kept", m[1])
			}
		}
		if total > 32_000 || strings.Count(v.page.body, "<option") < 240 {
			t.Errorf("%s: %d bytes, %d countries", tag, total, strings.Count(v.page.body, "<option"))
		}
	}
}

// The whole way: a number, a code, back to the app, and the approval for the app's server,
// once.
func TestCheck_FromANumberToTheApproval(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{})
	v := s.visitor().open(began.PageURL).sees("Confirm it's you", "Phone number or e-mail address")
	v.post("send", "country", "US", "address", typed).sees("Check WhatsApp", "+1******0123")
	v.post("code", "code", s.code(channel.WhatsApp)).sees("You're verified")
	back := v.returns()
	if back.Get("session") != began.Session || back.Get("result") == "" || back.Has("state") || back.Has("error") {
		t.Errorf("the browser goes back with %v", back)
	}
	ask := otpverify.Request{Session: began.Session, State: state, Result: back.Get("result")}
	a, err := s.fetch("bank", ask)
	if err != nil || a.PhoneNumber != fixture.Alice || a.To != "+1******0123" || a.Status != "approved" || a.ID != "" || a.Channel != "whatsapp" || a.Purpose != "login" {
		t.Errorf("%+v, %v", a, err)
	}
	_, err = s.fetch("bank", ask)
	s.Refused(err, problem.AlreadyUsed)
}
