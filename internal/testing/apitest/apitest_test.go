package apitest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"twofa/internal/testing/apitest"
)

// start is a start that is as the document says.
func start() apitest.Exchange {
	return apitest.Exchange{
		Method: "POST", Path: "/api/otpsend", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"to": "+14155550123"}`),
		Status: 201, AnswerHeader: http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"0123456789abcdef"}, "Location": {"/api/otpsend/x"}},
		Answer: []byte(`{"id":"VEe0d2e45a22810d1f3491fc2977adccb5","status":"pending","to":"+1******0123","channel":"sms","purpose":"login","expires_at":"2026-11-21T03:14:16Z","sends_left":4,"checks_left":5}`),
	}
}

// refused is a start that is refused.
func refused(status int, kind, title string) func(*apitest.Exchange) {
	return func(x *apitest.Exchange) {
		x.Status = status
		x.AnswerHeader.Set("Content-Type", "application/problem+json")
		x.Answer = []byte(`{"type":"urn:twofa:` + kind + `","title":"` + title + `","status":` + strconv.Itoa(status) + `,"detail":"x"}`)
	}
}

// What the document does not allow is found.
func TestCheckFindsWhatTheDocumentDoesNotAllow(t *testing.T) {
	t.Parallel()
	replace := func(old, text string) func(*apitest.Exchange) {
		return func(x *apitest.Exchange) {
			x.Answer = []byte(strings.Replace(string(x.Answer), old, text, 1))
			x.Body = []byte(strings.Replace(string(x.Body), old, text, 1))
		}
	}
	for name, tc := range map[string]struct {
		change  func(*apitest.Exchange)
		allowed bool
	}{
		"nothing":                      {func(*apitest.Exchange) {}, true},
		"another spelling of the path": {func(x *apitest.Exchange) { x.Path = "/API/OtpSend/?code=x" }, true},
		"a path that is not there":     {func(x *apitest.Exchange) { x.Path, x.Status = "/api/nowhere", 404 }, true},
		"a form": {func(x *apitest.Exchange) {
			x.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			x.Body = []byte("to=a&context.amount=1&channels=sms,call")
		}, true},
		"a form with an unknown field": {func(x *apitest.Exchange) {
			x.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			x.Body = []byte("to=a&context=1")
		}, false},
		"a new member":                   {replace(`"sends_left"`, `"new":1,"sends_left"`), false},
		"a missing member":               {replace(`"purpose":"login",`, ``), false},
		"an unknown status of a message": {replace(`"pending"`, `"new"`), false},
		"a member of another type":       {replace(`"sends_left":4`, `"sends_left":"4"`), false},
		"an id of another form":          {replace(`VEe0d2`, `VEX0d2`), false},
		"no Location, as for a page":     {func(x *apitest.Exchange) { x.AnswerHeader.Del("Location") }, true},
		"no X-Request-Id":                {func(x *apitest.Exchange) { x.AnswerHeader.Del("X-Request-Id") }, false},
		"another content type":           {func(x *apitest.Exchange) { x.AnswerHeader.Set("Content-Type", "text/plain") }, false},
		"a status that is not named":     {func(x *apitest.Exchange) { x.Status = 202 }, false},
		"an unknown field":               {replace(`{"to"`, `{"new": "1", "to"`), false},
		"a field of another type":        {replace(`"+14155550123"`, `1`), false},
		"a method that is not there":     {func(x *apitest.Exchange) { x.Method = "PUT" }, false},
		"its refusal":                    {func(x *apitest.Exchange) { x.Method, x.Status = "PUT", 405; x.AnswerHeader.Set("Allow", "POST") }, true},
		"its refusal without Allow":      {func(x *apitest.Exchange) { x.Method, x.Status = "PUT", 405 }, false},
		"a refusal":                      {refused(422, "undeliverable", "The address cannot be reached"), true},
		"a kind of another route":        {refused(422, "wrong_code", "The code is not right"), false},
		"a kind with another title":      {refused(422, "undeliverable", "No"), false},
		"a kind with another status":     {refused(404, "undeliverable", "The address cannot be reached"), false},
		"an unknown kind":                {refused(422, "new", "New"), false},
	} {
		x := start()
		tc.change(&x)
		if err := apitest.Check(x); (err == nil) != tc.allowed {
			t.Errorf("%s: allowed %t, want %t: %v", name, err == nil, tc.allowed, err)
		}
	}
}
