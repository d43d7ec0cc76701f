package oidc_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
)

// guess is somebody who tries addresses to learn who has an account.
type guess struct {
	*person
	address string
	// code is what they type, as their sign-in stands.
	code func(g *guess) string
	// told is what they see at each step.
	told []string
	step string
	t    string // the page, as the last answer has it
	// first is the first form.
	first url.Values
}

// lengths is a text with the length of each capability in its place.
func lengths(text string) string {
	isOther := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}
	var b strings.Builder
	for len(text) > 0 {
		i := strings.IndexFunc(text, isOther)
		if i < 0 {
			i = len(text)
		}
		if i < 22 {
			b.WriteString(text[:i])
		} else {
			fmt.Fprintf(&b, "<%d>", i)
		}
		if text = text[i:]; text != "" {
			b.WriteByte(text[0])
			text = text[1:]
		}
	}
	return b.String()
}

// guesses is somebody with a browser of their own.
func (s *service) guesses(address string, code func(*guess) string) *guess {
	g := &guess{person: s.person(), address: address, code: code}
	g.each = func(r *http.Request, res *http.Response, body string) {
		var header []string
		for name, values := range res.Header {
			if !slices.Contains([]string{"X-Request-Id", "Date", "Set-Cookie"}, name) {
				header = append(header, name+": "+lengths(strings.Join(values, ", ")))
			}
		}
		for _, c := range res.Cookies() {
			header = append(header, fmt.Sprintf("cookie %d %d", len(c.Name), len(c.Value)))
		}
		slices.Sort(header)
		waited := s.waits()
		trips := ""
		if len(waited) == 0 { // else the time does not tell how much was done
			trips = s.trips(res)
		}
		said := fmt.Sprintf("%s: %s %s: %d, waited %v, trips %s\n%s\n%s", g.step, r.Method, r.URL.Path, res.StatusCode, waited, trips, strings.Join(header, "\n"), lengths(body))
		g.told = append(g.told, strings.ReplaceAll(said, url.QueryEscape(s.URL), "URL"))
		for _, form := range formToken.FindAllStringSubmatch(body, -1) {
			g.t = form[1]
		}
	}
	return g
}

// trips is how many round trips an answer took, from the log line that follows it.
func (s *service) trips(res *http.Response) string {
	for range 1000 {
		if lines := s.Logged("msg=request", "request_id="+res.Header.Get("X-Request-Id")); len(lines) > 0 {
			_, trips, _ := strings.Cut(lines[0], " trips=")
			return trips
		}
		time.Sleep(time.Millisecond)
	}
	s.TB.Error("an answer without a log line")
	return ""
}

// formToken is the page in the forms of an answer.
var formToken = regexp.MustCompile(`name="t" value="([^"]+)"`)

// begin begins a sign-in and types the address.
func (g *guess) begin(step string) *guess {
	g.TB.Helper()
	g.step = "begin " + step
	g.authorize("web")
	g.step = "submit " + step
	g.networks = ""
	_, g.first = g.form("send")
	g.first.Set("address", g.address)
	g.do(g.posted("/oidc/signin/send", g.first))
	return g
}

// sends sends a form of the page, whether the page shows it or not. Each comes from another network.
func (g *guess) sends(step, action string, fields ...string) {
	g.TB.Helper()
	g.step, g.networks = step, fmt.Sprintf("198.51.%d.9", len(g.told)%256)
	form := url.Values{"t": {g.t}, "once": {rand.Text()}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	g.do(g.posted("/oidc/signin/"+action, form))
}

// looks opens a screen of the page.
func (g *guess) looks(screen string) {
	g.TB.Helper()
	g.step = "look at " + screen
	g.open("/oidc/signin/" + screen + "?t=" + g.t)
}

// wrong is a wrong code, of the right form.
func wrong(g *guess) string {
	code := []byte(right(g))
	code[0] = '0' + (code[0]-'0'+1)%10
	return string(code)
}

// right is the code that was sent, or would have been.
func right(g *guess) string {
	row := g.Recipient(g.address)
	code, _ := row.Verifications[len(row.Verifications)-1].Code(g.Keys)
	g.Secret("a code", code)
	return code
}

// waits returns how long answers have waited since the last call.
func (s *service) waits() (waited []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waited, s.waited = s.waited, nil
	return waited
}

// tries tries out all that a page offers to somebody who types an address, with ten submits and six resends on one
// day and one submit on others. after runs after the first form of each day.
func (s *service) tries(address string, code func(*guess) string, after func(day int)) (told []string) {
	s.TB.Helper()
	s.API.SignIn.Guard = nil // how much of its counters is read before a refusal is not certain
	by, other := "sms", "+491711234577"
	if strings.Contains(address, "@") {
		by, other = "email", "other@example.com"
	}
	pause := func() { s.Advance(31 * time.Second) }
	codes := func(g *guess, n int) {
		for i := range n {
			g.sends(fmt.Sprint("code ", i), "code", "code", code(g))
		}
	}
	for i, what := range []func(g *guess){
		func(g *guess) { // all the ways of help, too soon and in time
			g.sends("help", "help")
			g.sends("resend too soon", "resend")
			pause()
			g.sends("resend", "resend")
			g.sends("help after a resend", "help")
			g.step = "the first form again"
			g.do(g.posted("/oidc/signin/send", g.first))
			g.sends("help after that", "help")
			codes(g, 1)
			g.looks("help")
			pause()
			g.sends("resend over a channel", "resend", "channel", by)
			g.looks("help")
			g.sends("no code", "code", "code", "-")
			g.sends("an app's code", "app", "code", "123456")
			g.sends("a recovery code", "recovery", "code", "AAAA-BBBB-CCCC-DDDD")
			g.sends("more", "more", "id", "email")
			g.sends("allow", "allow")
			for _, screen := range []string{"", "address", "app", "recovery", "second", "consent", "end"} {
				g.looks(screen)
			}
		},
		func(g *guess) { // wrong codes until none is left, and new codes, until the address is locked
			codes(g, 6)
			g.sends("help when none is left", "help")
			g.sends("resend when none is left", "resend")
			g.sends("new code too soon", "new")
			pause()
			g.sends("new code", "new")
			codes(g, 6)
			pause()
			g.sends("new code at the limit", "new")
			g.begin("at the limit")
		},
		func(g *guess) { // another address, and this one again
			g.looks("address")
			g.sends("another address", "send", "address", other)
			g.sends("help at another address", "help")
			pause()
			g.sends("this address again", "send", "address", address)
			codes(g, 1)
			g.sends("a second other address", "send", "address", other+"x")
			g.sends("no address", "send", "address", "+49")
			g.sends("cancel", "cancel")
			codes(g, 1)
		},
		func(g *guess) { // the code expires
			s.Advance(11 * time.Minute)
			codes(g, 1)
			g.sends("help after that", "help")
			g.sends("resend after that", "resend")
			g.sends("new code after that", "new")
			codes(g, 1)
			s.Advance(20 * time.Minute)
			codes(g, 1)
		},
		func(g *guess) { // canceled
			g.sends("cancel", "cancel")
			g.sends("resend after that", "resend")
			pause()
			g.sends("new code after that", "new")
			codes(g, 2)
		},
		func(g *guess) { // often on one day
			for i := range 10 {
				pause()
				g.begin(fmt.Sprint(i))
				if i < 6 {
					pause()
					g.sends("resend", "resend")
				}
			}
		},
	} {
		g := s.guesses(address, code).begin("")
		after(i)
		what(g)
		told = append(told, g.told...)
		s.Set(s.Now().Truncate(day).Add(2*day + 12*time.Hour))
	}
	return told
}

func failure(o otp.Outcome, next otp.Next, may bool) error {
	return &notify.Failure{Outcome: o, Next: next, MayHaveSent: may, Detail: "a test"}
}

// always sets the answer of all senders.
func (s *service) always(err error) {
	for c := range s.Delivery.Senders {
		s.Sender(c).Always(err)
	}
}

// edit changes the account of an address as it is stored.
func (s *service) edit(address string, change func(*user.User)) {
	s.TB.Helper()
	name := s.account(address).Name
	_, err := s.API.SignIn.Accounts.Change(s.Ctx(), s.API.SignIn.Accounts.Key(name), s.Now(), func(u user.User) (user.User, error) {
		change(&u)
		return u, nil
	})
	if err != nil {
		s.TB.Fatal(err)
	}
}

// erase erases the account of an address.
func (s *service) erase(address string) {
	s.TB.Helper()
	a := s.API.SignIn.Accounts
	if err := s.API.SignIn.Users.EraseAccount(s.Ctx(), a, a.Key(s.account(address).Name), func(user.User) error { return nil }); err != nil {
		s.TB.Fatal(err)
	}
}

const longAgo = 100 * day

// Nobody learns who has an account: whatever becomes of the messages, a person without an account is shown, told
// and made to wait the same as one with an account.
func TestR23_NoEnumeration_AllThatIsSeen(t *testing.T) {
	t.Parallel()
	gives := func(s *service, a string) { s.give(a) }
	proves := func(s *service, a string) { s.give(a); s.person().authorize("web").proves(a) }
	refused := func(err error) func(*service, string) {
		return func(s *service, a string) { s.give(a); s.always(err) }
	}
	nobody := map[string]func() []string{}
	for _, address := range []string{annasNumber, annasMail} {
		nobody[address] = sync.OnceValue(func() []string {
			s := newService(t)
			s.always(errors.New("nobody gets a message"))
			told := s.tries(address, wrong, func(int) {})
			if s.Sent() > 0 {
				t.Error("a message to somebody without an account")
			}
			return told
		})
	}
	for name, tc := range map[string]struct {
		// before makes the account, and ago before the tries.
		before func(s *service, address string)
		ago    time.Duration
		code   func(*guess) string // of the one with an account. nil: a wrong one
		after  func(s *service, address string, day int)
		none   bool // the account is none for a sign-in, so that nothing is sent
	}{
		"accepted":                   {before: gives},
		"undeliverable":              {before: refused(failure(otp.OutcomeUndeliverable, otp.NextChannel, false)), code: right},
		"no such number":             {before: refused(failure(otp.OutcomeInvalidAddress, otp.NextAddress, false)), code: right},
		"blocked as fraud":           {before: refused(failure(otp.OutcomeRefused, otp.NextNone, false)), code: right},
		"unavailable":                {before: refused(failure(otp.OutcomeUnavailable, otp.NextChannel, false))},
		"ambiguous":                  {before: refused(failure(otp.OutcomeUnavailable, otp.NextChannel, true))},
		"misconfigured":              {before: refused(failure(otp.OutcomeMisconfigured, otp.NextChannel, false))},
		"an error that nobody knows": {before: refused(errors.New("canary of a provider"))},
		"over the second channel": {before: func(s *service, a string) {
			s.give(a)
			s.Sender(channel.WhatsApp).Always(failure(otp.OutcomeUndeliverable, otp.NextChannel, false))
		}},
		"over the channel that worked before": {ago: 30 * day, before: func(s *service, a string) {
			s.give(a)
			p := s.person().authorize("web").post("send", "address", a)
			s.Advance(time.Minute)
			p.post("help").post("resend", "channel", "sms").post("code", "code", s.codeTo(a))
		}},
		"denied by its owner": {before: gives, code: func(g *guess) string {
			if row := g.Recipient(g.address); row.Verifications[len(row.Verifications)-1].Status != otp.Denied {
				return wrong(g)
			}
			return right(g)
		}, after: func(s *service, a string, day int) {
			if !strings.Contains(a, "@") && day < 5 {
				s.Receive(notify.Inbound{From: a, Channel: channel.WhatsApp, Text: "NO", MessageID: fmt.Sprint(day)})
			}
		}},
		"delivered, or read": {before: gives, after: func(s *service, a string, _ int) {
			row := s.Recipient(a)
			s.MustReport(row.Verifications[len(row.Verifications)-1].ID, 1, otp.Read, nil)
		}},
		"stale":                    {ago: longAgo, before: proves},
		"stale, and it has an app": {ago: longAgo, before: func(s *service, a string) { proves(s, a); s.edit(a, func(u *user.User) { u.TOTP = anApp(s, 1) }) }},
		"given, and the account was made with another address": {none: true, before: func(s *service, a string) {
			other := annasMail
			if a == annasMail {
				other = annasNumber
			}
			s.give(a, other)
			proves(s, other)
		}},
		"given, and too long ago": {ago: longAgo, none: true, before: gives},
		"erased":                  {ago: longAgo, none: true, before: func(s *service, a string) { proves(s, a); s.erase(a) }},
		"erased meanwhile": {before: gives, after: func(s *service, a string, day int) {
			if day == 1 {
				s.erase(a)
			}
		}},
		"replaced lately": {ago: time.Hour, before: func(s *service, a string) {
			proves(s, a)
			s.edit(a, func(u *user.User) { u.Account.Addresses[0].ReplacedAt = s.Now() })
			s.Clock.Advance(-time.Hour)
		}},
	} {
		for kind, address := range map[string]string{"a number": annasNumber, "a mail": annasMail} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				s, code, after := newService(t), wrong, func(int) {}
				if tc.code != nil {
					code = tc.code
				}
				if tc.after != nil {
					after = func(day int) { tc.after(s, address, day) }
				}
				s.Set(fixture.Noon.Add(-tc.ago))
				tc.before(s, address)
				s.Set(fixture.Noon)
				s.waits()
				sent := s.Sent()
				known, unknown := s.tries(address, code, after), nobody[address]()
				if n := s.Sent() - sent; n == 0 != tc.none {
					t.Errorf("%d messages to the account", n)
				}
				for i := range max(len(known), len(unknown)) {
					a, b := "", ""
					if i < len(known) {
						a = known[i]
					}
					if i < len(unknown) {
						b = unknown[i]
					}
					if a != b {
						t.Fatalf("step %d, with an account:\n%s\nwithout:\n%s", i, a, b)
					}
				}
			})
		}
	}
}

// A test number is as good as none for a client that takes no test numbers, whether it has an account or not.
func TestR23_NoEnumeration_TestNumbers(t *testing.T) {
	t.Parallel()
	for ending, scenario := range map[string]otp.Scenario{"delivered": {Ending: otp.EndsDelivered, Code: "424242"}, "undeliverable": {Ending: otp.EndsUndeliverable, Code: "424242"}} {
		var told [2][]string
		for i := range told {
			s := newService(t, func(c *config.Settings) {
				c.TestNumbers = otp.TestNumbers{Scenarios: map[string]otp.Scenario{annasNumber: scenario}, Until: fixture.Noon.Add(longAgo)}
			})
			if i == 0 {
				s.give(annasNumber)
			}
			told[i] = s.tries(annasNumber, func(*guess) string { return "424242" }, func(int) {})
		}
		for i, known := range told[0] {
			if known != told[1][i] {
				t.Fatalf("%s, step %d, with an account:\n%s\nwithout:\n%s", ending, i, known, told[1][i])
			}
		}
	}
}
