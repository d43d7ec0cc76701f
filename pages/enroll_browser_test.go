package pages_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/testing/browser"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/tooltest"
	"twofa/otpsend"
	"twofa/otpverify"
)

// ways are browsers with script and without, in three languages, one of them from right to left.
var ways = []browser.Options{
	{Width: 390, Language: "en-US"}, {Width: 390, Language: "en-US", NoScript: true},
	{Width: 320, Language: "de-DE", NoScript: true}, {Width: 320, Language: "de-DE", Dark: true},
	{Width: 360, Language: "ar", Dark: true}, {Width: 360, Language: "ar", NoScript: true},
}

func nameOf(o browser.Options) string { return fmt.Sprintf("%s script %v", o.Language, !o.NoScript) }

// sound fails the test unless everybody can use the page as it is now.
func sound(b *browser.Browser, o browser.Options) {
	if !o.NoScript { // axe is a script
		b.Axe()
	}
	b.NoHorizontalScroll()
	b.TargetSizes()
}

// R9. A person enrols an app from the QR code on the screen, gets recovery codes, and comes back
// to the app. The app is a library that nobody here wrote.
func TestR9_Browser_EnrolFromTheQRCodeOnTheScreen(t *testing.T) {
	for _, o := range ways {
		t.Run(nameOf(o), func(t *testing.T) {
			s := newSite(t)
			s.register("alice", aliceByMail)
			began := s.enroll("alice")
			b := browser.New(t, o)
			b.BeforeScripts(`Object.defineProperty(navigator, "clipboard", {value: {writeText: (text) => { window.copied = text; return Promise.resolve(); }}}); URL.createObjectURL = (blob) => { blob.text().then((text) => { window.file = text; }); return "#file"; }`)
			b.Open(began.PageURL)
			sound(b, o)
			b.Submit(mainButton)
			sound(b, o)
			picture := filepath.Join(t.TempDir(), "scan.png")
			b.Screenshot(picture)
			png, err := os.ReadFile(picture)
			if err != nil {
				t.Fatal(err)
			}
			uri := tooltest.ReadQR(t, png)
			if !strings.HasPrefix(uri, "otpauth://totp/Acme%20Bank:alice?") || b.Attribute("p.center a", "href") != uri {
				t.Errorf("the picture says %q, the link %q", uri, b.Attribute("p.center a", "href"))
			}
			b.Type("#code", "000000")
			b.Submit(mainButton)
			sound(b, o)
			b.Type("#code", tooltest.AppCode(t, uri, s.Now()))
			b.Type("#name", "هاتفي 📱")
			b.Submit(mainButton)
			sound(b, o)
			b.Submit("section button")
			sound(b, o)
			codes := strings.Fields(b.Text(".codes"))
			if len(codes) != 10 {
				t.Errorf("%d codes", len(codes))
			}
			if !o.NoScript {
				b.Click("[data-file]")
				b.WaitUntil("there is a file", `window.file !== undefined`)
				file := browser.Eval[string](b, "window.file")
				if !strings.HasPrefix(file, "Acme Bank\n") || !slices.Equal(strings.Fields(file)[len(strings.Fields(file))-10:], codes) {
					t.Errorf("the file is %q", file)
				}
				b.Click("[data-copy]")
				b.WaitUntil("it says that it is copied", `document.querySelector("#said").textContent !== ""`)
				if got := browser.Eval[string](b, "window.copied"); !slices.Equal(strings.Fields(got), codes) {
					t.Errorf("copied: %q", got)
				}
			} else if b.Count(".tools button:not([hidden])") != 0 {
				t.Error("buttons that need a script are shown without one")
			}
			b.Submit(mainButton)
			sound(b, o)
			b.Click(".save button")
			b.WaitURL(s.app.URL + "/2fa/done")
			b.NoSurprises(s.URL, s.app.URL)
			a, err := s.take(began, s.back().Get("result"))
			if err != nil || len(a.Added) != 1 || a.Added[0].Name != "هاتفي 📱" || !a.NewRecoveryCodes {
				t.Fatalf("%+v, %v", a, err)
			}
			if _, err := s.fetch("bank", otpverify.Request{User: "alice", Factor: "recovery", Code: codes[9]}); err != nil {
				t.Error(err)
			}
			// An app is there: the page begins with the list.
			b.Open(s.enroll("alice").PageURL)
			b.Submit(mainButton)
			sound(b, o)
			b.Submit(".rows button")
			sound(b, o)
			b.Submit(".rows button")
			b.Click(".save button")
			b.WaitURL(s.app.URL + "/2fa/done")
			if s.back().Get("error") != "canceled" {
				t.Errorf("after nothing was changed: %v", s.back())
			}
		})
	}
}

// A link opens in the browser that began, and in another one.
func TestBrowser_Links(t *testing.T) {
	for _, o := range ways {
		t.Run(nameOf(o), func(t *testing.T) {
			s := newSite(t)
			began := s.begin(otpsend.Request{To: fixture.AliceMail, Channel: "email", Locale: o.Language})
			b, other := browser.New(t, o), browser.New(t, o)
			b.Open(began.PageURL)
			mail := s.mailed()
			other.Open(mail.Link)
			sound(other, o)
			if strings.Contains(other.Text("html"), mail.Code) {
				t.Error("the code is there before the button")
			}
			other.Submit(mainButton)
			sound(other, o)
			if got := other.Text(".shown"); got != mail.Code || other.Count("a") != 0 && strings.Contains(other.Attribute("main a", "href"), s.app.URL) {
				t.Errorf("the other browser shows %q", other.Text("main"))
			}
			other.NoSurprises(s.URL)
			other.Open(mail.Link)
			other.Submit(mainButton)
			sound(other, o)
			if strings.Contains(other.Text("html"), mail.Code) {
				t.Error("the code is shown twice")
			}
			tab := b.NewTab(o)
			tab.Open(mail.Link)
			tab.Click(mainButton)
			tab.WaitURL(s.app.URL + "/2fa/done")
			tab.NoSurprises(s.URL, s.app.URL)
			back := s.back()
			if a, err := s.fetch("bank", otpverify.Request{Session: back.Get("session"), State: state, Result: back.Get("result")}); err != nil || a.Email != fixture.AliceMail {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

// Attack 12, with scanners that run scripts in real browsers: a hundred visits consume nothing,
// and show nothing.
func TestAttack12_ScannersThatRunScripts(t *testing.T) {
	s := newSite(t)
	began := s.byMail()
	mail := s.mailed()
	scanner, before := browser.New(t, browser.Options{}), s.trips()
	for range 100 {
		scanner.Open(mail.Link)
		if strings.Contains(scanner.Text("html"), mail.Code) {
			t.Fatal("a scanner sees the code")
		}
	}
	if n := s.trips() - before; n != 0 || len(scanner.Cookies()) != 0 {
		t.Errorf("%d storage round trips, %d cookies", n, len(scanner.Cookies()))
	}
	v := s.visitor().open(began.PageURL)
	s.visitor().open(mail.Link).post("").sees(mail.Code)
	v.open(mail.Link).post("").sees("You're verified")
}

// Attacks 30 and 41. Who has stolen the address of an enrolment page changes nothing: neither by
// finishing it in another browser, nor by a form of another site.
func TestAttack41_AStolenEnrolmentPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began, thief := s.enrolling("alice")
	thief.add("Thief").post("save")
	result := thief.returns().Get("result")
	for name, req := range map[string]otpverify.Request{
		"with the thief's state": {Session: began.Session, State: strings.Repeat("x", 32), Result: result},
		"without a result":       {Session: began.Session, State: state, Result: "AAAAAAAAAAAAAAAAAAAAAA"},
	} {
		if _, err := s.fetch("bank", req); !problem.Is(err, problem.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.fetch("shop", otpverify.Request{Session: began.Session, State: state, Result: result}); !problem.Is(err, problem.NotFound) {
		t.Errorf("another client: %v", err)
	}
	// The person comes second, and learns it.
	s.visitor().open(began.PageURL).post("begin").sees("Go on in the other browser")
	// A page that the person has begun tells the thief nothing.
	began, v := s.enrolling("alice")
	key := v.secret()
	for _, path := range []string{began.PageURL, v.page.address} {
		thief := s.visitor().open(path)
		if strings.Contains(thief.page.body, key) || strings.Contains(thief.text(), "QR") {
			t.Errorf("the thief sees the key at %s", path)
		}
		thief.open(path) // with a cookie now
		thief.open(thief.page.header.Get("Location")).sees("Go on in the other browser")
		if strings.Contains(thief.page.body, key) {
			t.Error("the thief sees the key")
		}
	}
	// Who learns the address later, out of a history or a log, gets no page at all, even if the
	// person has only looked at it until now. The person goes on.
	began = s.enroll("alice")
	v = s.visitor().open(began.PageURL)
	s.Advance(session.OpenFor)
	thief = s.visitor().open(began.PageURL).sees("This link doesn't work")
	if len(thief.cookies()) != 0 || strings.Contains(thief.page.body, s.app.URL) {
		t.Error("the thief gets a cookie, or the way to the app")
	}
	v.open(began.PageURL).post("begin").sees("Scan the QR code")
	if n := s.apps("alice"); n != nil || len(s.notices()) != 0 {
		t.Errorf("the user has %q and was told %q", n, s.notices())
	}
	s.Advance(session.FetchFor)
	if _, err := s.take(began, result); !problem.Is(err, problem.NotFound) {
		t.Errorf("later: %v", err)
	}
}

// Attack 42, R27. A hundred enrolments of a day: ten take effect, each is told, and codes still
// go out.
func TestAttack42_R27_AHundredEnrolments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	changed, refused := 0, 0
	for i := range 100 {
		began, err := s.tryEnroll("alice")
		if problem.Is(err, problem.TooManyChanges) {
			refused++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		v := s.visitor().open(began.PageURL).post("begin")
		if i%2 == 0 {
			v.add("Phone")
		} else {
			v.post("remove", "id", idOf(t, v, "Phone"))
		}
		if _, err := s.take(began, v.post("save").returns().Get("result")); err != nil {
			t.Fatal(err)
		}
		changed++
	}
	if changed != 10 || refused != 90 || len(s.notices()) != 10 {
		t.Errorf("%d changes, %d refused, %d notices", changed, refused, len(s.notices()))
	}
	s.begin(otpsend.Request{User: "alice"})
	if s.mailed().Code == "" {
		t.Error("no code goes out")
	}
	want := slices.Repeat([]notify.Notice{notify.NoticeAppAdded, notify.NoticeAppRemoved}, 5)
	if n := s.notices(); !slices.Equal(n, want) {
		t.Errorf("the user is told %q", n)
	}
}
