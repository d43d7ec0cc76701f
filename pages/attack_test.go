package pages_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/capability"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/secret"
	"twofa/internal/session"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

// An approval is fetched with the state and the result of its own session, by the client that
// began it.
func TestR25_Attack35_AnApprovalBelongsToItsSession(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{To: fixture.Alice})
	other := s.beginAs("shop", otpsend.Request{To: fixture.Bob})
	ask := otpverify.Request{Session: began.Session, State: state}
	_, err := s.fetch("bank", with(ask, func(r *otpverify.Request) { r.Result = "AAAAAAAAAAAAAAAAAAAAAA" }))
	s.Refused(err, problem.NotFound) // nothing is approved yet
	ask.Result = s.visitor().open(began.PageURL).approveWith(s.codeTo(fixture.Alice))
	theirs := s.visitor().open(other.PageURL).approveWith(s.codeTo(fixture.Bob))
	for name, tc := range map[string]struct {
		client string
		change func(*otpverify.Request)
	}{
		"another state":       {"bank", func(r *otpverify.Request) { r.State = strings.ToUpper(state) }},
		"a state cut":         {"bank", func(r *otpverify.Request) { r.State = state[:31] }},
		"another result":      {"bank", func(r *otpverify.Request) { r.Result = theirs }},
		"a result cut":        {"bank", func(r *otpverify.Request) { r.Result = r.Result[:21] }},
		"the session as one":  {"bank", func(r *otpverify.Request) { r.Result = began.Session }},
		"another session":     {"bank", func(r *otpverify.Request) { r.Session = other.Session }},
		"an unknown session":  {"bank", func(r *otpverify.Request) { r.Session = "PS0123456789abcdef0123456789abcdef" }},
		"another client":      {"shop", func(*otpverify.Request) {}},
		"their session, mine": {"bank", func(r *otpverify.Request) { r.Session, r.Result = other.Session, theirs }},
	} {
		if _, err := s.fetch(tc.client, with(ask, tc.change)); !problem.Is(err, problem.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*otpverify.Request){
		"no state": func(r *otpverify.Request) { r.State = "" }, "no result": func(r *otpverify.Request) { r.Result = "" },
		"a code beside it": func(r *otpverify.Request) { r.Code = "123456" }, "no session": func(r *otpverify.Request) { r.Session = "" },
		"a session in capitals": func(r *otpverify.Request) { r.Session = strings.ToUpper(r.Session) },
	} {
		if _, err := s.fetch("bank", with(ask, change)); !problem.Is(err, problem.InvalidRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.fetch("bank", ask); err != nil {
		t.Errorf("the approval is lost: %v", err)
	}
}

func with(r otpverify.Request, change func(*otpverify.Request)) otpverify.Request {
	change(&r)
	return r
}

// A page that was begun in one browser does not go on in another, whoever was first.
func TestAttack35_ASessionBelongsToOneBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{To: fixture.Alice})
	first, second := s.visitor().open(began.PageURL), s.visitor().open(began.PageURL)
	first.post("help").sees("Didn't get the code?")
	second.post("code", "code", s.code(channel.WhatsApp)).sees("Go on in the other browser")
	second.open(began.PageURL).post("cancel").sees("Go on in the other browser")
	first.open(began.PageURL)
	first.approve(channel.WhatsApp)
	done := first.page.address
	if second.open(done); second.page.status != http.StatusForbidden || strings.Contains(second.page.body, "result=") {
		t.Errorf("another browser gets the result: %d", second.page.status)
	}
	if stranger := s.visitor().open(done); strings.Contains(stranger.page.body, "result=") {
		t.Error("a browser without a cookie gets the result")
	}
}

// One token, 50 parallel forms with 50 numbers from two browsers: one browser, three messages,
// one approval.
func TestAttack35_OneTokenManyForms(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *config.Settings) { c.Limits.PagePerIP = 0 })
	began := s.begin(otpsend.Request{})
	browsers := []*visitor{s.visitor().open(began.PageURL), s.visitor().open(began.PageURL)}
	form := browsers[0].form("send")
	var wait sync.WaitGroup
	for i := range 50 {
		v, own := s.visitor(), url.Values{"t": form["t"], "once": {fmt.Sprintf("the-form-number-%02d", i)}, "address": {fmt.Sprintf("+1415555%04d", 1000+i)}}
		v.http.Jar = browsers[i%2].http.Jar
		wait.Go(func() { v.send("send", own) })
	}
	wait.Wait()
	if s.Sent() != 3 {
		t.Errorf("%d messages, want 3", s.Sent())
	}
	approvals := 0
	for _, m := range s.Sender(channel.WhatsApp).Sent() {
		for _, b := range browsers {
			v := s.visitor()
			v.http.Jar = b.http.Jar
			own := url.Values{"t": form["t"], "once": {"another-form-of-it"}, "code": {m.Code}}
			if v.submit("code", own); strings.Contains(v.page.header.Get("Location"), "/end?") {
				v.open(v.page.header.Get("Location"))
				if strings.Contains(v.text(), "You're verified") {
					approvals++
				}
			}
		}
	}
	if approvals == 0 {
		t.Error("no code was approved")
	}
	if n := len(s.Logged("outcome=ok", "operation=page.check", "age_ms=")); n != 1 {
		t.Errorf("%d codes were approved, want 1", n)
	}
}

// The code of a page works through no other form of check, and nobody sees the verification.
func TestAttack35_APagesCodeWorksOnItsPageAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.User(user.User{Name: "alice", Phone: fixture.Alice})
	s.begin(otpsend.Request{User: "alice"})
	id, code := s.Sender(channel.WhatsApp).Last().Verification, s.code(channel.WhatsApp)
	s.Advance(time.Minute)
	s.begin(otpsend.Request{To: fixture.Bob})
	toBob := s.code(channel.WhatsApp)
	ctx := client.With(s.Ctx(), s.client)
	for name, req := range map[string]otpverify.Request{
		"id": {ID: string(id), Code: code}, "user": {User: "alice", Code: code}, "user, purpose": {User: "alice", Purpose: "login", Code: code},
		"to": {To: fixture.Alice, Code: code}, "to, without a user": {To: fixture.Bob, Code: toBob}, "typed": {To: fixture.Bob, Code: toBob, Origin: "typed"},
		"id, without a code": {ID: string(id)},
	} {
		if _, err := s.Verify.Check(ctx, req); !problem.Is(err, problem.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Send.Status(ctx, string(id)); !problem.Is(err, problem.NotFound) {
		t.Errorf("look-up: %v", err)
	}
	if _, err := s.Send.Cancel(ctx, string(id)); !problem.Is(err, problem.NotFound) {
		t.Errorf("cancel: %v", err)
	}
	if _, _, err := s.Send.Resend(ctx, string(id), otpsend.ResendRequest{}, ""); !problem.Is(err, problem.NotFound) {
		t.Errorf("resend: %v", err)
	}
}

// Each kind of capability opens as itself alone, and one that was changed opens as nothing.
func TestAttack35_CapabilitiesAreNotExchanged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	kinds := []capability.Kind{capability.Page, capability.Session, capability.Known}
	for _, kind := range kinds {
		text, err := capability.Seal(s.Keys, kind, map[string]string{"a": "b"})
		if err != nil {
			t.Fatal(err)
		}
		for _, as := range kinds {
			var v map[string]string
			if err := capability.Open(s.Keys, as, text, &v); (err == nil) != (as == kind) {
				t.Errorf("%s as %s: %v", kind, as, err)
			}
		}
		for i := range len(text) {
			changed := []byte(text)
			if changed[i]++; capability.Open(s.Keys, kind, string(changed), new(map[string]string)) == nil && string(changed) != text {
				t.Errorf("%s with another character %d opens", kind, i)
			}
		}
	}
	began := s.begin(otpsend.Request{})
	v := s.visitor().open(began.PageURL)
	u, _ := url.Parse(s.URL)
	cookies := v.http.Jar.Cookies(u)
	v.open("/verify/check?t=" + cookies[0].Value).sees("This link doesn't work")
	// The cookie of another session in the place of this one's.
	other := s.visitor().open(s.begin(otpsend.Request{Purpose: "x"}).PageURL)
	planted := other.http.Jar.Cookies(u)[0]
	jar, _ := cookiejar.New(nil)
	jar.SetCookies(u, []*http.Cookie{{Name: cookies[0].Name, Value: planted.Value, Path: "/"}})
	form := s.visitor().open(began.PageURL).form("send")
	form.Set("address", fixture.Alice)
	thief := s.visitor()
	thief.http.Jar = jar
	thief.send("send", form).sees("Cookies are blocked")
	if s.Sent() != 0 {
		t.Errorf("%d messages", s.Sent())
	}
}

// A secret that is marked for the index only opens no capability.
func TestR28_ARetiredSecretOpensNoPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{})
	s.API.Site.Keys = retired(t)
	s.visitor().open(began.PageURL).sees("This link doesn't work")
	s.API.Site.Keys = fixture.Keys(t, 2, 1)
	s.visitor().open(began.PageURL).sees("Confirm it's you")
}

// retired is a keyring in which the secret of before is marked for the index only.
func retired(t *testing.T) *secret.Keyring {
	t.Helper()
	keys, err := secret.Parse(fixture.Secret(2) + ",index:" + fixture.Secret(1))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// A form that another site sends does nothing.
func TestAttack30_CrossSiteForms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
	form := v.form("send")
	form.Set("address", fixture.Alice)
	for name, header := range map[string]http.Header{
		"another site": {"Sec-Fetch-Site": {"cross-site"}}, "a subdomain": {"Sec-Fetch-Site": {"same-site"}}, "no page": {"Sec-Fetch-Site": {"none"}},
		"another origin": {"Origin": {"https://evil.example"}}, "null": {"Origin": {"null"}}, "neither header": {},
		"http for https": {"Origin": {strings.Replace(s.URL, "http", "https", 1)}}, "another port": {"Origin": {s.app.URL}},
		"a lie": {"Origin": {s.URL}, "Sec-Fetch-Site": {"cross-site"}},
	} {
		req, err := http.NewRequest(http.MethodPost, s.URL+"/verify/check/send", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header = header
		if v.do(req); v.page.status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, v.page.status)
		}
	}
	for _, kind := range []string{"text/plain", "application/json", "multipart/form-data; boundary=x", ""} {
		req, err := http.NewRequest(http.MethodPost, s.URL+"/verify/check/send", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Sec-Fetch-Site": {"same-origin"}, "Content-Type": {kind}}
		if v.do(req); v.page.status != http.StatusBadRequest {
			t.Errorf("%q: %d", kind, v.page.status)
		}
	}
	if s.Sent() != 0 {
		t.Errorf("%d messages", s.Sent())
	}
	req, _ := http.NewRequest(http.MethodPost, s.URL+"/verify/check/send", strings.NewReader(form.Encode()))
	req.Header = http.Header{"Origin": {s.URL}, "Content-Type": {"application/x-www-form-urlencoded"}}
	if v.do(req); v.page.status != http.StatusSeeOther || s.Sent() != 1 {
		t.Errorf("a browser without Sec-Fetch-Site: %d, %d messages", v.page.status, s.Sent())
	}
}

// R15: the headers of every page and of every redirect.
func TestR15_TheHeadersOfPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
	form := v.form("code")
	check := func(what string) {
		t.Helper()
		h := v.page.header
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
			"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", what, name, got)
			}
		}
	}
	check("a page")
	for _, c := range (&http.Response{Header: v.page.header}).Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 40*60 {
			t.Errorf("%+v", c)
		}
	}
	form.Set("code", "1")
	v.submit("code", form)
	check("a redirect")
	v.open("/verify/check?t=x")
	check("an error")
	s2 := newSite(t, func(c *config.Settings) { c.PublicURL = "https://twofa.example.com" })
	secure := s2.visitor().open(s2.URL + "/verify/check?" + strings.SplitN(s2.begin(otpsend.Request{}).PageURL, "?", 2)[1])
	if c := secure.page.header.Get("Set-Cookie"); !strings.HasPrefix(c, "__Host-twofa-session-") || !strings.Contains(c, "; Secure") {
		t.Errorf("the cookie over https: %.60s", c)
	}
}

// R11: the page's address is built from the setting, whatever the request's Host is.
func TestR11_AddressesComeFromTheSetting(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{})
	if !strings.HasPrefix(began.PageURL, s.URL+"/verify/check?t=") {
		t.Errorf("%s", began.PageURL)
	}
	req, _ := http.NewRequest(http.MethodGet, began.PageURL, nil)
	req.Host = "evil.example"
	v := s.visitor()
	if v.do(req); strings.Contains(v.page.body, "evil") {
		t.Error("the page has the name of the request")
	}
}

// Only an address of the client, written exactly as the operator wrote it, is taken.
func TestAttack30_ReturnAddresses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	right := s.app.URL + "/2fa/done"
	host := strings.TrimPrefix(s.app.URL, "http://")
	wrong := []string{
		"", "/", "//evil.example", "https://evil.example", "http://evil.example/2fa/done", right + "/", right + "?", right + "#", right + "?x=1", right + "%20", right + " ", " " + right,
		right + "/..", right + "/../x", right + "%2f", right + ";x", right + "&x", strings.ToUpper(right), strings.Replace(right, "http:", "HTTP:", 1), strings.Replace(right, "http:", "https:", 1),
		strings.Replace(right, "http:", "javascript:", 1), "javascript:alert(1)", "data:text/html,x", "http:" + host, "http:/" + host + "/2fa/done", "http:///" + host + "/2fa/done",
		strings.Replace(right, "//", "//evil@", 1), strings.Replace(right, "//", "//evil.example@", 1), strings.Replace(right, "//", "//user:pw@", 1), strings.Replace(right, "127.0.0.1", "127.1", 1),
		strings.Replace(right, "127.0.0.1", "2130706433", 1), strings.Replace(right, "127.0.0.1", "0x7f.1", 1), strings.Replace(right, "127.0.0.1", "127.0.0.1.", 1), strings.Replace(right, "127.0.0.1", "localhost", 1),
		strings.Replace(right, "127.0.0.1", "[::1]", 1), strings.Replace(right, "127.0.0.1", "127.0.0.1.evil.example", 1), strings.Replace(right, "127.0.0.1", "evil.example#127.0.0.1", 1),
		strings.Replace(right, "127.0.0.1", "evil.example\\@127.0.0.1", 1), strings.Replace(right, "/2fa", "\\2fa", 1), strings.Replace(right, "//", "\\\\", 1), strings.Replace(right, "//", "/\\", 1),
		strings.Replace(right, "/2fa", "//2fa", 1), strings.Replace(right, "/2fa", "/./2fa", 1), strings.Replace(right, "/2fa", "/x/../2fa", 1), strings.Replace(right, "/2fa", "/%32fa", 1),
		strings.Replace(right, "done", "Done", 1), strings.Replace(right, "done", "don", 1), strings.Replace(right, "done", "done1", 1), strings.Replace(right, "done", "d%6fne", 1),
		strings.Replace(right, "done", "dоne", 1), strings.Replace(right, "done", "done\u200b", 1), strings.Replace(right, "/2fa", "\u2044"+"2fa", 1), strings.Replace(right, ".", "。", 1),
	}
	for _, at := range []int{0, 4, 7, len(s.app.URL), len(right)} {
		for _, c := range []string{"\x00", "\t", "\n", "\r\n", "%00", "%0d%0a", "\u202e", "@", "?", "#", "\\", "."} {
			wrong = append(wrong, right[:at]+c+right[at:])
		}
	}
	if len(wrong) < 100 {
		t.Fatalf("only %d spellings", len(wrong))
	}
	ctx := client.With(s.Ctx(), s.client)
	for _, address := range append(wrong, s.app.URL+"/shop") { // the last one is another client's
		_, _, err := s.Send.StartPage(ctx, otpsend.Request{Page: session.Asked{ReturnURL: address, State: state}}, "")
		if !problem.Is(err, problem.InvalidRequest) || slices.Contains(fixture.FieldNames(err), "page.state") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, own := range s.client.ReturnURLs {
		v := s.visitor().open(s.begin(otpsend.Request{To: fixture.Alice, Page: session.Asked{ReturnURL: own, State: state}}).PageURL)
		v.post("cancel")
		if back := refresh.FindStringSubmatch(v.page.body); back == nil || !strings.HasPrefix(strings.ReplaceAll(back[1], "&amp;", "&"), own) {
			t.Errorf("%s: the page goes to %q", own, back)
		}
		s.Advance(time.Minute)
	}
}

func TestStateIsChecked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for state, ok := range map[string]bool{
		strings.Repeat("a", 22): true, strings.Repeat("Z9-._~", 20): true, strings.Repeat("a", 128): true,
		"": false, strings.Repeat("a", 21): false, strings.Repeat("a", 129): false, strings.Repeat("a", 21) + " ": false, strings.Repeat("a", 21) + "/": false, strings.Repeat("ä", 22): false,
	} {
		_, _, err := s.Send.StartPage(client.With(s.Ctx(), s.client), otpsend.Request{Page: session.Asked{ReturnURL: s.client.ReturnURLs[0], State: state}}, "")
		if (err == nil) != ok {
			t.Errorf("%q: %v", state, err)
		}
	}
}

// A client that lost an address to return to, or its scope, has no pages any more.
func TestTheClientIsLookedUpAtEachUse(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string]string{
		"no address":   `[{"id": "bank", "secrets": ["sha256:%[2]s"], "scopes": ["send"], "return_urls": []}]`,
		"no scope":     `[{"id": "bank", "secrets": ["sha256:%[2]s"], "scopes": ["check"], "return_urls": ["%[1]s/2fa/done"]}]`,
		"another id":   `[{"id": "bank2", "secrets": ["sha256:%[2]s"], "scopes": ["send"], "return_urls": ["%[1]s/2fa/done"]}]`,
		"other people": `[{"id": "bank", "secrets": ["sha256:%[2]s"], "scopes": ["send"], "directory": "x", "return_urls": ["%[1]s/2fa/done"]}]`,
	} {
		s := newSite(t)
		v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
		form := v.form("send")
		s.API.Site.Clients = s.load(entries)
		form.Set("address", fixture.Alice)
		if v.send("send", form).sees("This link doesn't work"); s.Sent() != 0 {
			t.Errorf("%s: %d messages", name, s.Sent())
		}
	}
}

// Strangers at pages use up what typed addresses have. The bank's own server, and the browser
// in which the address was proven, go on.
func TestR26_Attack22_ThroughPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	owner := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
	owner.post("send", "address", fixture.Alice)
	owner.approve(channel.WhatsApp)
	s.Advance(25 * time.Hour)
	for n := range 2 { // one network has two messages a day
		stranger := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
		stranger.post("send", "address", fixture.Alice).sees("Check WhatsApp")
		for range 5 {
			stranger.post("code", "code", s.wrong())
		}
		stranger.sees("Too many wrong codes")
		s.Advance(time.Duration(n+1) * time.Minute)
	}
	s.visitor().open(s.begin(otpsend.Request{}).PageURL).post("send", "address", fixture.Alice).sees("Too many wrong codes. Try again in 24 h.")
	s.Advance(11 * time.Minute)
	owner.open(s.begin(otpsend.Request{}).PageURL).post("send", "address", fixture.Alice).sees("Check WhatsApp")
	if lines := s.Logged("origin=known"); len(lines) == 0 {
		t.Error("the owner's browser is not known")
	}
	owner.approve(channel.WhatsApp)
	given := s.begin(otpsend.Request{To: fixture.Alice})
	s.visitor().open(given.PageURL).approve(channel.WhatsApp)
}

// A browser that other people use is not remembered, nor one in which nothing was proven, nor
// for another client or address.
func TestKnownBrowserIsSetAfterAProofAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	known := func(v *visitor) (found bool) {
		u, _ := url.Parse(s.URL)
		return slices.ContainsFunc(v.http.Jar.Cookies(u), func(c *http.Cookie) bool { return c.Name == "twofa-known" })
	}
	v := s.visitor().open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
	v.post("code", "code", s.wrong())
	if known(v) {
		t.Error("after a wrong code")
	}
	v.post("code", "code", s.code(channel.WhatsApp), "shared", "yes").sees("You're verified")
	if known(v) {
		t.Error("on a shared device")
	}
	s.Advance(time.Minute)
	v.open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
	if v.approve(channel.WhatsApp); !known(v) {
		t.Error("not after a proof")
	}
	s.Advance(time.Minute)
	v.open(s.begin(otpsend.Request{}).PageURL).post("send", "address", fixture.Bob)
	s.Advance(time.Minute)
	v.open(s.beginAs("shop", otpsend.Request{}).PageURL).post("send", "address", fixture.Alice)
	if got := s.Logged("origin=known"); len(got) > 0 {
		t.Errorf("known for another address or client: %s", got)
	}
	s.Advance(time.Minute)
	v.open(s.begin(otpsend.Request{}).PageURL).post("send", "address", fixture.Alice)
	if got := s.Logged("origin=known"); len(got) == 0 {
		t.Error("not known for the address that was proven")
	}
}

// No token, cookie, result, state or typed address is in the log. The rig looks for codes and
// addresses by itself.
func TestR10_PagesLogNoSecrets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.begin(otpsend.Request{})
	s.Secret("a state", state)
	token := func(address string) string { u, _ := url.Parse(address); return u.Query().Get("t") }
	s.Secret("a token", token(began.PageURL))
	v := s.visitor().open(began.PageURL)
	for _, address := range []string{"evil@example", "alice.canary@example.com x", "+1415555012"} {
		s.Secret("what was typed", address)
		v.post("send", "address", address)
		s.Secret("a token", token(v.page.address))
	}
	v.post("send", "address", fixture.Alice)
	s.Secret("a token", token(v.page.address))
	v.post("code", "code", s.wrong())
	s.Secret("a result", v.approve(channel.WhatsApp))
	s.Secret("a token", token(v.page.address))
	u, _ := url.Parse(s.URL)
	for _, c := range v.http.Jar.Cookies(u) {
		s.Secret("a cookie", c.Value)
	}
	v.open("/verify/check?t=" + token(began.PageURL)[1:])
	if len(s.Logged("operation=page.check", "outcome=wrong_code")) != 1 || len(s.Logged("client=bank", "operation=page.start", "outcome=ok")) != 1 {
		t.Errorf("the log lacks the requests:\n%s", strings.Join(s.Logged("operation=page"), "\n"))
	}
}

// What comes from outside never becomes mark-up.
func TestAttack9_PagesEscape(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, text := range []string{`"><script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `javascript:alert(1)`, `'+alert(1)+'`, `{{.}}`, "</title><script>", "&lt;script&gt;"} {
		v := s.visitor().open(s.begin(otpsend.Request{}).PageURL)
		v.post("send", "address", text, "country", text)
		if strings.Contains(v.page.body, "<script>") || strings.Contains(v.page.body, "<img") || strings.Contains(v.page.body, `value="">`+text[:2]) {
			t.Errorf("%q is mark-up", text)
		}
		pay := otp.Transaction{Amount: "5 <b>", Payee: `Bike "Shop" <i>&amp;`}
		w := s.visitor().open(s.begin(otpsend.Request{Transaction: pay}).PageURL + "&ui_locales=" + url.QueryEscape(text) + "&t2=" + url.QueryEscape(text))
		if strings.Contains(w.page.body, "<b>") || strings.Contains(w.page.body, "<i>") || !strings.Contains(w.page.body, "&lt;b&gt;") {
			t.Errorf("the payment is mark-up")
		}
	}
}

// R14: one field, which can be pasted into, with the attributes that fill it in.
func TestR14_OneFieldForTheCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor().open(s.begin(otpsend.Request{To: fixture.Alice}).PageURL)
	if n := strings.Count(v.page.body, `<input type="text"`); n != 1 {
		t.Errorf("%d fields", n)
	}
	for _, want := range []string{`autocomplete="one-time-code"`, `inputmode="numeric"`, `pattern="[0-9 ]*"`, `name="code"`} {
		if !strings.Contains(v.page.body, want) {
			t.Errorf("the field lacks %s", want)
		}
	}
	if strings.Contains(v.page.body, "maxlength") || strings.Contains(v.page.body, "onpaste") {
		t.Error("the field cuts what is pasted")
	}
	v.post("code", "code", "Your code is "+s.code(channel.WhatsApp)+". Don't share it.").sees("You're verified")
}

// Without clients, or without a public URL, the setting is named.
func TestPagesNeedSettings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	req := otpsend.Request{Page: session.Asked{ReturnURL: s.client.ReturnURLs[0], State: state}}
	s.Send.Pages.PublicURL = ""
	_, _, err := s.Send.StartPage(client.With(s.Ctx(), s.client), req, "")
	wantField(t, s, err, "TWOFA_PUBLIC_URL")
	s.Send.Pages.HasClients = false
	_, _, err = s.Send.StartPage(s.Ctx(), req, "")
	wantField(t, s, err, "TWOFA_CLIENTS")
}

func wantField(t *testing.T, s *site, err error, text string) {
	t.Helper()
	p := s.Refused(err, problem.InvalidRequest)
	if len(p.Fields) != 1 || p.Fields[0].Name != "page" || !strings.Contains(p.Fields[0].Message, text) {
		t.Errorf("%+v", p.Fields)
	}
}

// A repetition of the app's request gets the same session, and sends nothing.
func TestARepeatedStartHasTheSameSession(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := client.With(s.Ctx(), s.client)
	for name, to := range map[string]string{"given": fixture.Alice, "typed": ""} {
		req := otpsend.Request{To: to, Page: session.Asked{ReturnURL: s.client.ReturnURLs[0], State: state}}
		first, _, err := s.Send.StartPage(ctx, req, "key "+name[:5])
		if err == nil {
			t.Errorf("a key with a space is taken")
		}
		if first, _, err = s.Send.StartPage(ctx, req, "key-"+name); err != nil {
			t.Fatal(err)
		}
		sent := s.Sent()
		second, replayed, err := s.Send.StartPage(ctx, req, "key-"+name)
		if err != nil || second.Session != first.Session || s.Sent() != sent || replayed != (to != "") {
			t.Errorf("%s: %+v, %v, %v", name, second, replayed, err)
		}
		if req.Page.State += "x"; to != "" {
			_, _, err = s.Send.StartPage(ctx, req, "key-"+name)
			s.Refused(err, problem.IdempotencyConflict)
		}
	}
}
