package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// twofa calls the API of the service. All calls of the bank are in this file.
type twofa struct {
	origin     string // as its TWOFA_PUBLIC_URL
	id, secret string // of the bank as a client of the service
	hostKey    string // the function key, if the service runs under Azure Functions
	client     http.Client
	log        *slog.Logger
}

// The service answers within 24 seconds.
const maxCall = 30 * time.Second

// maxAnswer is more than any answer of the service, in bytes.
const maxAnswer = 64 << 10

func newTwofa(origin string, log *slog.Logger) *twofa {
	return &twofa{origin: origin, log: log, client: http.Client{
		Timeout:       maxCall,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the API has no redirects
	}}
}

// putUser registers the address that the user's codes go to. It never changes a user that is
// there: another app of the same directory may have made it.
func (t *twofa) putUser(ctx context.Context, name, contact string) error {
	body := map[string]string{"name": name, "phone": contact}
	if strings.Contains(contact, "@") {
		body = map[string]string{"name": name, "email": contact}
	}
	return t.call(ctx, call{method: http.MethodPut, path: userPath(name), body: body, header: "If-None-Match", value: "*"}, nil)
}

// userPath is the path of a user. Names come from people, so they stand as ~ and base64url:
// no proxy reads a character of it in its own way.
func userPath(name string) string {
	return "/api/users/~" + base64.RawURLEncoding.EncodeToString([]byte(name))
}

// verification is a code that was sent.
type verification struct {
	ID string `json:"id"`
	To string `json:"to"` // masked
}

// start sends a code to a user.
//
// key is the same for a repetition of the same login, which then sends nothing and gets the
// same answer.
func (t *twofa) start(ctx context.Context, user, key string) (v verification, err error) {
	err = t.call(ctx, call{
		method: http.MethodPost, path: "/api/otpsend",
		body:   map[string]string{"user": user, "purpose": purpose},
		header: "Idempotency-Key", value: key,
	}, &v)
	return v, err
}

// resend sends the same code again. key is the same for a repetition of the same form.
func (t *twofa) resend(ctx context.Context, id, key string) (v verification, err error) {
	err = t.call(ctx, call{
		method: http.MethodPost, path: "/api/otpsend/" + url.PathEscape(id),
		header: "Idempotency-Key", value: key,
	}, &v)
	return v, err
}

// check checks a code that the person typed into the bank's own form.
func (t *twofa) check(ctx context.Context, user, id, code string) (approval, error) {
	return t.approval(ctx, user, map[string]string{"id": id, "code": code, "purpose": purpose})
}

// page is a session on the service's own page.
type page struct {
	Session string `json:"session"`
	URL     string `json:"page_url"`
}

// startPage sends a code to a user, who types it on the service's page.
//
// state has to be in a cookie of the browser that goes to the page, and nowhere else. key is as
// for start, and then state has to be the same, too.
func (t *twofa) startPage(ctx context.Context, user, returnURL, state, key string) (p page, err error) {
	err = t.call(ctx, call{
		method: http.MethodPost, path: "/api/otpsend",
		body: map[string]any{
			"user": user, "purpose": purpose,
			"page": map[string]string{"return_url": returnURL, "state": state},
		},
		header: "Idempotency-Key", value: key,
	}, &p)
	if err == nil && !strings.HasPrefix(p.URL, t.origin+"/") {
		return page{}, fmt.Errorf("%w: its page is not at %s", errAnswer, t.origin)
	}
	return p, err
}

// fetch gets the approval of a page, once. state comes out of the browser's cookie, never out of
// the address; result comes out of the address.
func (t *twofa) fetch(ctx context.Context, user, session, state, result string) (approval, error) {
	return t.approval(ctx, user, map[string]string{"session": session, "state": state, "result": result})
}

// purpose keeps codes for the login apart from, say, those for payments.
const purpose = "login"

// approval is the proof that the person has the second factor.
type approval struct {
	Status  string `json:"status"`
	Factor  string `json:"factor"`  // totp or recovery; "" for the code of a message
	User    string `json:"user"`    // with factor
	Purpose string `json:"purpose"` // of a message
	To      string `json:"to"`      // of a message, masked
	Channel string `json:"channel"` // of a message
	Test    bool   `json:"test"`
}

// approval asks for the approval of a user's login. It returns an error for every other answer.
func (t *twofa) approval(ctx context.Context, user string, body any) (a approval, err error) {
	err = t.call(ctx, call{method: http.MethodPost, path: "/api/otpverify", body: body}, &a)
	switch {
	case err != nil:
		return approval{}, err
	case a.Status != "approved":
		return approval{}, fmt.Errorf("%w: no approval", errAnswer)
	case a.Factor == "" && a.Purpose != purpose, a.Factor != "" && a.User != user:
		return approval{}, fmt.Errorf("%w: an approval of something else", errAnswer)
	case a.Test: // a number with a fixed code: nobody has proven anything
		return approval{}, fmt.Errorf("%w: a test number", errAnswer)
	}
	return a, nil
}

// problem is a refusal of the service (RFC 9457).
type problem struct {
	Type       string       `json:"type"`
	Status     int          `json:"status"`
	ChecksLeft int          `json:"checks_left"`
	RetryAfter int          `json:"retry_after"` // seconds
	Errors     []fieldError `json:"errors"`
}

// fieldError is a field that the service refused.
type fieldError struct {
	Field string `json:"field"`
}

// Error implements error. People read words instead.
func (p *problem) Error() string { return p.Type }

var (
	// errUnreachable: it is not known whether the service did what it was asked for.
	errUnreachable = errors.New("the service did not answer")
	// errAnswer: the answer is not one of the service as the bank knows it.
	errAnswer = errors.New("the service's answer cannot be used")
)

// call is a request. Header may be "".
type call struct {
	method, path  string
	body          any // nil for none
	header, value string
}

// call sends a request and reads the answer into answer, if that is not nil. Errors: *problem,
// errUnreachable, errAnswer.
//
// It repeats nothing: a start without an answer may have sent its message. (Go's transport
// repeats a request by itself if the connection broke and the request has an Idempotency-Key,
// with which a repetition sends nothing.)
func (t *twofa) call(ctx context.Context, c call, answer any) error {
	var body io.Reader
	if c.body != nil {
		text, err := json.Marshal(c.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, t.origin+c.path, body)
	if err != nil {
		return err
	}
	req.SetBasicAuth(t.id, t.secret)
	if t.hostKey != "" {
		req.Header.Set("x-functions-key", t.hostKey)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.header != "" {
		req.Header.Set(c.header, c.value)
	}
	res, err := t.client.Do(req)
	if err != nil { // its text has the path, which may have a person's name
		t.log.Error("twofa: no answer", "timeout", errors.Is(err, context.DeadlineExceeded))
		return errUnreachable
	}
	defer res.Body.Close()
	err = read(res, answer)
	if err != nil {
		t.log.Warn("twofa: refused", "error", err, "status", res.StatusCode, "request", res.Header.Get("X-Request-Id"))
	}
	return err
}

// read reads an answer.
func read(res *http.Response, answer any) error {
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return errUnreachable
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		p := new(problem)
		if json.Unmarshal(text, p) != nil || p.Type == "" { // of the Functions host, or of a proxy
			return fmt.Errorf("%w: status %d", errUnreachable, res.StatusCode)
		}
		p.Status = res.StatusCode
		return p
	}
	if answer != nil && json.Unmarshal(text, answer) != nil {
		return errAnswer // without the text, which may have an address
	}
	return nil
}
