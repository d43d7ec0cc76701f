package pages_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/otpsend"
	"twofa/otpverify"
)

// BenchmarkPages measures what a page costs beside the API: a view, and a wrong code on a page
// beside the same check by the API. The store is the embedded one, which is the same for
// both. wire-bytes is the size of the answer's body, trips are those of the storage.
func BenchmarkPages(b *testing.B) {
	s := newSite(b)
	s.Send.Countries = nil
	s.Policy(func(p *otp.Policy) {
		p.MaxChecks, p.MaxFailuresPerDay, p.ResendAfter = otp.MaxCounted, otp.MaxCounted, 0
	})
	handler := s.API.Handler()
	v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
	address := strings.TrimPrefix(v.page.address, s.URL)
	v.post("send", "address", fixture.Bob)
	code, form := strings.TrimPrefix(v.page.address, s.URL), v.form("code")
	form.Set("code", s.wrong())
	u, _ := url.Parse(s.URL)
	cookies := v.http.Jar.Cookies(u)
	request := func(method, path, body string) *http.Request {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		for _, c := range cookies {
			r.AddCookie(c)
		}
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		return r
	}
	for name, view := range map[string]string{"view an address": address, "view a code": code, "view an address, in Hindi": address + "&locale=hi", "style": "/verify/style", "script": "/verify/script"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var size int
			for b.Loop() {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, request(http.MethodGet, view, ""))
				if size = w.Body.Len(); w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
			b.ReportMetric(float64(size), "wire-bytes")
		})
	}
	// The same verification all the time would run out of tries, so the limits are the highest
	// and each round has a new one.
	ctx := client.With(s.Ctx(), s.client)
	b.Run("a wrong code on a page", func(b *testing.B) {
		b.ReportAllocs()
		n, before, other := 0, s.trips(), 0
		for ; b.Loop(); n++ {
			if n%90 == 0 {
				b.StopTimer()
				already := s.trips()
				s.Advance(25 * time.Hour)
				v.open(s.begin(otpsend.Request{To: fixture.Bob}).PageURL)
				form, cookies = v.form("code"), v.http.Jar.Cookies(u)
				form.Set("code", s.wrong())
				v.submit("help", v.form("help"))
				other += s.trips() - already
				b.StartTimer()
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, request(http.MethodPost, "/verify/check/code", form.Encode()))
			if w.Code != http.StatusSeeOther {
				b.Fatal(w.Code)
			}
		}
		b.ReportMetric(float64(s.trips()-before-other)/float64(n), "trips")
	})
	b.Run("a wrong code by the API", func(b *testing.B) {
		b.ReportAllocs()
		var id otp.ID
		counted, spent := store.WithTrips(ctx)
		n := 0
		for ; b.Loop(); n++ {
			if n%90 == 0 {
				b.StopTimer()
				s.Advance(25 * time.Hour)
				a, _, err := s.Send.Start(ctx, otpsend.Request{To: fixture.Bob, Channel: channel.WhatsApp}, "")
				if err != nil {
					b.Fatal(err)
				}
				id = a.ID
				b.StartTimer()
			}
			if _, err := s.Verify.Check(counted, otpverify.Request{ID: string(id), Code: s.wrong()}); err == nil {
				b.Fatal("approved")
			}
		}
		b.ReportMetric(float64(spent.Load())/float64(n), "trips")
	})
}
