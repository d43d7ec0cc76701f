package handler_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"twofa/internal/problem"
	"twofa/internal/session"
)

// logPages makes the requests of an app with a page, and of the browser that has it.
func logPages(t *testing.T) *rig {
	r := newRig(t).noPause().withClients(strings.TrimSuffix(entry("bank-web", "send", "check"), "}") + `, "return_urls": ["https://bank.example/done"]}`)
	r.API.Site.Clients, r.Send.Pages = r.API.Clients, session.Site{PublicURL: "https://twofa.example.com", HasClients: true}
	const state = "0123456789abcdefghijkl"
	begin := func(to string) (session, path string) {
		body := `{"to": "` + to + `", "page": {"return_url": "https://bank.example/done", "state": "` + state + `"}}`
		res := r.as("bank-web", "POST", "/api/otpsend", typeJSON, body).want(201)
		return res.text("session"), strings.TrimPrefix(res.text("page_url"), "https://twofa.example.com")
	}
	hidden := regexp.MustCompile(`name="t" value="([^"]*)"><input type="hidden" name="once" value="([^"]*)"`)
	visit := func(path string) (cookie string, form url.Values) {
		res := r.get(path)
		m := hidden.FindStringSubmatch(res.body)
		if m == nil {
			t.Fatalf("no form at %s: %s", path, res.body)
		}
		c := (&http.Response{Header: res.header}).Cookies()[0]
		return c.Name + "=" + c.Value, url.Values{"t": {m[1]}, "once": {m[2]}}
	}
	post := func(action, cookie string, form url.Values) *response {
		res := r.postForm("/verify/check/"+action, form.Encode(), "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
		wantEqual(t, action, res.status, http.StatusSeeOther)
		return res
	}
	session, path := begin(alice)
	cookie, form := visit(path)
	post("help", cookie, form)
	post("resend", cookie, form)
	form.Set("once", form.Get("once")+"2")
	post("new", cookie, form)
	form.Set("code", wrong(r.sender.Last().Code))
	post("code", cookie, form)
	form.Set("code", r.sender.Last().Code)
	end := r.get(post("code", cookie, form).header.Get("Location")) // without the cookie: no result
	if strings.Contains(end.body, "result=") {
		t.Error("a browser without the cookie gets the result")
	}
	r.as("bank-web", "POST", "/api/otpverify", typeJSON, `{"session": "`+session+`", "state": "`+state+`", "result": "AAAAAAAAAAAAAAAAAAAAAA"}`).problem(404, problem.NotFound)
	_, path = begin(bob)
	cookie, form = visit(path)
	post("cancel", cookie, form)
	return r
}
