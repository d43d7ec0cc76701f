package twiliotest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/fixture"
	"twofa/internal/testing/twiliotest"
)

// Only valid requests get scripted replies: first those of Next, then the number's.
func TestScript(t *testing.T) {
	s := start(t)
	s.For(fixture.Alice, twiliotest.Refuse(400, 63024))
	s.Next(twiliotest.Refuse(429, 20429).With("Retry-After", "7"), twiliotest.Accept())
	send := func(pairs ...string) answered { return do(t, request(t, s.URL, form(pairs...))) }

	if a := send("Body", "-"); a.Code != 21619 {
		t.Errorf("an invalid request used a reply: %+v", a)
	}
	if a := send(); a.http != 429 || a.Code != 20429 || a.header.Get("Retry-After") != "7" {
		t.Errorf("first: %+v", a)
	}
	if a := send(); a.http != 201 {
		t.Errorf("second: %+v", a)
	}
	for range 2 {
		if a := send(); a.http != 400 || a.Code != 63024 || !strings.Contains(a.Message, "+14155550123") || !strings.Contains(a.Message, "739184") {
			t.Errorf("then, for the number: %+v", a)
		}
	}
	if a := send("To", "whatsapp:+14155550199"); a.http != 201 {
		t.Errorf("another number: %+v", a)
	}
	if n := len(s.Accepted()); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	s.Reset()
	if a := send(); a.http != 201 || s.CallCount() != 1 || len(s.Accepted()) != 1 {
		t.Errorf("after Reset: %+v, %d calls", a, s.CallCount())
	}
}

func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		reply    twiliotest.Reply
		accepted int
		status   int // 0: no answer
		body     string
		fails    bool // reading the body fails
	}{
		"raw":               {twiliotest.Raw(502, "<html>"), 0, 502, "<html>", false},
		"raw and accepting": {twiliotest.Raw(201, "<html>").Accepting(), 1, 201, "<html>", false},
		"redirect":          {twiliotest.Redirect("/else"), 0, 307, "", false},
		"drop":              {twiliotest.Drop(), 0, 0, "", false},
		"drop, accepting":   {twiliotest.Drop().Accepting(), 1, 0, "", false},
		"cut":               {twiliotest.Cut(), 1, 201, "", true},
		"hang":              {twiliotest.Hang(), 0, 0, "", false},
		"hang, accepting":   {twiliotest.Hang().Accepting(), 1, 0, "", false},
		"zero, later":       {twiliotest.Reply{}.After(time.Millisecond), 1, 201, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.Next(tc.reply)
			r := request(t, s.URL, form())
			if strings.HasPrefix(name, "hang") {
				ctx, cancel := context.WithCancel(r.Context())
				r = r.WithContext(ctx)
				go func() {
					for s.CallCount() == 0 || len(s.Accepted()) < tc.accepted {
						time.Sleep(time.Millisecond)
					}
					cancel()
				}()
			}
			res, err := http.DefaultTransport.RoundTrip(r)
			if n := len(s.Accepted()); n != tc.accepted {
				t.Errorf("%d messages, want %d", n, tc.accepted)
			}
			if n := s.CallCount(); n != 1 {
				t.Errorf("%d calls", n)
			}
			if tc.status == 0 {
				if err == nil {
					t.Fatalf("answered %d", res.StatusCode)
				}
				if hung := errors.Is(err, context.Canceled); hung != strings.HasPrefix(name, "hang") {
					t.Errorf("ended with %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != tc.status || (err != nil) != tc.fails {
				t.Errorf("answered %d and %v", res.StatusCode, err)
			}
			if tc.body != "" && string(body) != tc.body {
				t.Errorf("body %q", body)
			}
			if want := map[bool]string{true: "/else"}[name == "redirect"]; res.Header.Get("Location") != want {
				t.Errorf("Location %q", res.Header.Get("Location"))
			}
		})
	}
}

func TestAcceptFailed(t *testing.T) {
	s := start(t)
	s.Next(twiliotest.AcceptFailed(63024))
	a := do(t, request(t, s.URL, form()))
	if a.http != 201 || a.Status != "failed" || a.Error == nil || *a.Error != 63024 || len(a.SID) != 34 {
		t.Errorf("answered %+v", a)
	}
	if n := len(s.Accepted()); n != 0 {
		t.Errorf("%d messages", n)
	}
}

// Close ends requests that hang. Otherwise a test without a deadline would never end.
func TestCloseEndsHangingRequests(t *testing.T) {
	s := twiliotest.Start(twiliotest.Account{})
	s.Next(twiliotest.Hang())
	done := make(chan error)
	r := request(t, s.URL, form())
	go func() {
		res, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			res.Body.Close()
		}
		done <- err
	}()
	for s.CallCount() == 0 {
		time.Sleep(time.Millisecond)
	}
	s.Close()
	if err := <-done; err == nil {
		t.Error("answered")
	}
}

func TestConnections(t *testing.T) {
	s := start(t)
	for range 3 {
		r := request(t, s.URL, form())
		r.Close = true
		do(t, r)
	}
	if n := s.Connections(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}
