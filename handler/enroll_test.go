package handler_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pquerna/otp/totp"

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/session"
)

// returnTo and pageState are what an app asks for.
const (
	returnTo  = "https://bank.example/done"
	pageState = "0123456789abcdefghijkl"
)

// withPages gives the rig a client that has pages.
func (r *rig) withPages(scopes ...string) *rig {
	r.withClients(strings.TrimSuffix(entry("bank-web", scopes...), "}") + `, "return_urls": ["` + returnTo + `"]}`)
	site := session.Site{PublicURL: "https://twofa.example.com", HasClients: true}
	r.API.Site.Clients, r.Send.Pages, r.API.Users.Pages, r.Send.MagicLinks = r.API.Clients, site, site, true
	return r
}

var hiddenFields = regexp.MustCompile(`action="([^"]*)"[^>]*><input type="hidden" name="t" value="([^"]*)"><input type="hidden" name="once" value="([^"]*)">`)

// pageForm is the form of a page with that action, whose fields are given in turn.
func pageForm(t *testing.T, body, action string, fields ...string) string {
	t.Helper()
	for _, m := range hiddenFields.FindAllStringSubmatch(body, -1) {
		if m[1] == action {
			form := url.Values{"t": {m[2]}, "once": {m[3]}}
			for i := 0; i+1 < len(fields); i += 2 {
				form.Set(fields[i], fields[i+1])
			}
			return form.Encode()
		}
	}
	t.Fatalf("no form %s: %s", action, body)
	return ""
}

// person is a browser on an enrolment page.
type person struct {
	*rig
	t      *testing.T
	cookie string
	body   string
}

func (p *person) open(address string) {
	p.t.Helper()
	res := p.do("GET", strings.TrimPrefix(address, "https://twofa.example.com"), "", "", "Cookie", p.cookie)
	wantEqual(p.t, "the status of "+address, res.status, http.StatusOK)
	for _, c := range (&http.Response{Header: res.header}).Cookies() {
		p.cookie = c.Name + "=" + c.Value
	}
	p.body = res.body
}

func (p *person) post(action string, fields ...string) {
	p.t.Helper()
	res := p.postForm(action, pageForm(p.t, p.body, action, fields...), "Cookie", p.cookie, "Sec-Fetch-Site", "same-origin")
	if p.body = res.body; res.status == http.StatusSeeOther {
		p.open(res.header.Get("Location"))
	}
}

// register registers a user of the client, whose mail address is proven, and returns the path.
func (r *rig) register(name string) string {
	r.TB.Helper()
	path := "/api/users/" + tilde(name)
	r.as("bank-web", "PUT", path, typeJSON, object("email", "alice@example.com")).want(201)
	if err := r.Users.Confirm(r.Ctx(), r.Users.Key("main", name), "alice@example.com"); err != nil {
		r.TB.Fatal(err)
	}
	return path
}

// logEnrolments makes the requests of an enrolment and of links.
func logEnrolments(t *testing.T) *rig {
	r := newRig(t).noPause().withPages("send", "check", "users")
	path := r.register("alice")
	begin := func() (string, string) {
		res := r.as("bank-web", "POST", path+"/page", typeJSON, object("kind", "enroll", "return_url", returnTo, "state", pageState)).want(201)
		return res.text("session"), res.text("page_url")
	}
	id, address := begin()
	p := &person{rig: r, t: t}
	p.open(address)
	p.post("/verify/enroll/begin")
	key := strings.ReplaceAll(regexp.MustCompile(`class="key"><bdi dir="ltr">([^<]*)<`).FindStringSubmatch(p.body)[1], " ", "")
	code, err := totp.GenerateCode(key, r.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.post("/verify/enroll/app", "code", wrong(code))
	p.post("/verify/enroll/app", "code", code, "name", "Canary phone")
	p.post("/verify/enroll/add")
	p.open(regexp.MustCompile(`href="(/verify/enroll\?[^"]*)"`).FindStringSubmatch(p.body)[1])
	app := regexp.MustCompile(`value="(TA[0-9a-f]{16})"`).FindStringSubmatch(p.body)[1]
	p.post("/verify/enroll/codes")
	p.post("/verify/enroll/kept", "set", regexp.MustCompile(`name="set" value="([0-9a-f]+)"`).FindStringSubmatch(p.body)[1])
	p.post("/verify/enroll/save")
	result := regexp.MustCompile(`result=([A-Za-z0-9_-]{22})`).FindStringSubmatch(p.body)[1]
	fetch := object("session", id, "state", pageState, "result", result)
	r.as("bank-web", "POST", "/api/otpverify", typeJSON, fetch).want(200)
	r.as("bank-web", "POST", "/api/otpverify", typeJSON, fetch).problem(409, problem.AlreadyUsed)
	_, address = begin()
	p = &person{rig: r, t: t}
	p.open(address)
	p.post("/verify/enroll/begin")
	p.post("/verify/enroll/remove", "id", app)
	p.post("/verify/enroll/keep", "id", app)
	p.post("/verify/enroll/remove", "id", app)
	p.post("/verify/enroll/cancel")

	res := r.as("bank-web", "POST", "/api/otpsend", typeJSON, `{"to": "alice@example.com", "channel": "email", "page": {"return_url": "`+returnTo+`", "state": "`+pageState+`"}}`).want(201)
	link := r.Sender(channel.Email).Last().Link
	p = &person{rig: r, t: t}
	p.open(link)
	p.post("/verify/link")
	p.open(res.text("page_url"))
	p.open(link)
	p.post("/verify/link")
	return r
}

// The whole way over HTTP, as an app and a browser see it.
func TestEnrolmentPage(t *testing.T) {
	t.Parallel()
	r := newRig(t).withPages("check", "users")
	path := r.register("alice")
	ask := func(body string) *response { return r.as("bank-web", "POST", path+"/page", typeJSON, body) }
	res := ask(object("kind", "enroll", "return_url", returnTo, "state", pageState)).want(201)
	if res.text("kind") != "enroll" || !strings.HasPrefix(res.text("session"), "PS") || !strings.HasPrefix(res.text("page_url"), "https://twofa.example.com/verify/enroll?t=") || res.text("expires_at") == "" {
		t.Errorf("%s", res.body)
	}
	for name, tc := range map[string]struct {
		body   string
		fields []string
	}{
		"nothing":               {`{}`, []string{"kind", "return_url", "state"}},
		"another kind":          {object("kind", "check", "return_url", returnTo, "state", pageState), []string{"kind"}},
		"another address":       {object("kind", "enroll", "return_url", returnTo+"/", "state", pageState), []string{"return_url"}},
		"a state that is short": {object("kind", "enroll", "return_url", returnTo, "state", "short"), []string{"state"}},
		"an unknown field":      {object("kind", "enroll", "return_url", returnTo, "state", pageState, "issuer", "x"), []string{"issuer"}},
	} {
		t.Log(name)
		ask(tc.body).problem(400, problem.InvalidRequest).wantFields(tc.fields...)
	}
	r.as("bank-web", "POST", "/api/users/nobody/page", typeJSON, object("kind", "enroll", "return_url", returnTo, "state", pageState)).problem(404, problem.NotFound)
	r.API.Users.Pages = session.Site{HasClients: true}
	ask(object("kind", "enroll", "return_url", returnTo, "state", pageState)).problem(400, problem.InvalidRequest)
}
