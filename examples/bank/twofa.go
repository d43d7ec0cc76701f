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
	"slices"
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

// order is what a person is asked to approve.
type order struct {
	User    string      `json:"user"`
	Purpose string      `json:"purpose"`          // keeps codes for a login apart from those for a payment
	Context transaction `json:"context,omitzero"` // of a payment: the person reads it beside the code
}

// The purposes.
const (
	purposeLogin    = "login"
	purposePayment  = "payment"
	purposeSecurity = "security" // before a change of the factors
)

// transaction is what the code of a payment is bound to (PSD2).
type transaction struct {
	Amount string `json:"amount"`
	Payee  string `json:"payee"`
}

// start sends a code to a user.
//
// key is the same for a repetition of the same form, which then sends nothing and gets the
// same answer.
func (t *twofa) start(ctx context.Context, o order, key string) (v verification, err error) {
	err = t.call(ctx, call{
		method: http.MethodPost, path: "/api/otpsend", body: o,
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

// check checks the code of a message that the person typed into the bank's own form. The
// order is the one that the bank keeps: with another one, the code is wrong.
func (t *twofa) check(ctx context.Context, o order, id, code string) (approval, error) {
	return t.approval(ctx, o, factorMessage, struct {
		order
		ID   string `json:"id"`
		Code string `json:"code"`
	}{o, id, code})
}

// The factors of approvals.
const (
	factorMessage  = ""
	factorApp      = "totp"
	factorRecovery = "recovery"
	factorAny      = "any" // of the service's page, where the person chooses
)

// checkFactor checks a code of the user's authenticator app, or a recovery code. It proves
// the person, and nothing about a payment.
func (t *twofa) checkFactor(ctx context.Context, user, factor, code string) (approval, error) {
	return t.approval(ctx, order{User: user, Purpose: purposeLogin}, factor,
		map[string]string{"user": user, "factor": factor, "code": code})
}

// page is a session on the service's own page.
type page struct {
	Session string `json:"session"`
	URL     string `json:"page_url"`
}

// back is how a browser comes back from the service's page. State has to be in a cookie of
// this browser, and nowhere else.
type back struct {
	ReturnURL string `json:"return_url"`
	State     string `json:"state"`
}

// startPage sends a code to a user, who types it on the service's page. key is as for start,
// and then the state has to be the same, too.
func (t *twofa) startPage(ctx context.Context, o order, to back, key string) (page, error) {
	return t.page(ctx, call{
		method: http.MethodPost, path: "/api/otpsend",
		body: struct {
			order
			Page back `json:"page"`
		}{o, to},
		header: "Idempotency-Key", value: key,
	})
}

// startEnrollment begins the service's page on which a user sets authenticator apps and
// recovery codes up. Call it only after the person has proved another factor.
func (t *twofa) startEnrollment(ctx context.Context, user string, to back) (page, error) {
	return t.page(ctx, call{
		method: http.MethodPost, path: userPath(user) + "/page",
		body: struct {
			Kind string `json:"kind"`
			back
		}{"enroll", to},
	})
}

func (t *twofa) page(ctx context.Context, c call) (p page, err error) {
	err = t.call(ctx, c, &p)
	if err == nil && !strings.HasPrefix(p.URL, t.origin+"/") {
		return page{}, fmt.Errorf("%w: its page is not at %s", errAnswer, t.origin)
	}
	return p, err
}

// returned is what the app fetches the outcome of a page with. State comes out of the
// browser's cookie, never out of the address; Result comes out of the address.
type returned struct {
	Session string `json:"session"`
	State   string `json:"state"`
	Result  string `json:"result"`
}

// fetch gets the approval of a page, once.
func (t *twofa) fetch(ctx context.Context, o order, from returned) (approval, error) {
	return t.approval(ctx, o, factorAny, from)
}

// approval is the proof that the person has a second factor.
type approval struct {
	Status  string      `json:"status"`
	Factor  string      `json:"factor"`  // totp or recovery; "" for the code of a message
	User    string      `json:"user"`    // with factor
	Purpose string      `json:"purpose"` // of a message, and of a page
	Context transaction `json:"context"` // what the person approved
	To      string      `json:"to"`      // of a message, masked
	Channel string      `json:"channel"` // of a message
	Left    *int        `json:"recovery_codes_left"`
	Test    bool        `json:"test"`
}

// approval asks for the approval of an order. It returns an error for every other answer.
func (t *twofa) approval(ctx context.Context, o order, factor string, body any) (a approval, err error) {
	err = t.call(ctx, call{method: http.MethodPost, path: "/api/otpverify", body: body}, &a)
	switch {
	case err != nil:
		return approval{}, err
	case a.Status != "approved": // also "enrolled", which proves nothing about the person
		return approval{}, fmt.Errorf("%w: no approval", errAnswer)
	case a.Context != o.Context:
		return approval{}, fmt.Errorf("%w: an approval of another payment", errAnswer)
	case factor != factorAny && a.Factor != factor, a.Factor != "" && a.User != o.User:
		return approval{}, fmt.Errorf("%w: an approval by something else", errAnswer)
	case a.Purpose != o.Purpose && (a.Factor == "" || factor == factorAny): // an app's code in the bank's own form has none
		return approval{}, fmt.Errorf("%w: an approval of something else", errAnswer)
	case a.Test: // a number with a fixed code: nobody has proven anything
		return approval{}, fmt.Errorf("%w: a test number", errAnswer)
	}
	return a, nil
}

// changes are what a person has changed on the enrollment page.
type changes struct {
	Status   string          `json:"status"`
	User     string          `json:"user"`
	Added    []authenticator `json:"added"`
	Removed  []authenticator `json:"removed"`
	NewCodes bool            `json:"new_recovery_codes"`
}

// fetchEnrollment makes the changes of an enrollment page take effect, once, and returns
// them. They are no proof of the person.
func (t *twofa) fetchEnrollment(ctx context.Context, user string, from returned) (c changes, err error) {
	err = t.call(ctx, call{method: http.MethodPost, path: "/api/otpverify", body: from}, &c)
	if err == nil && (c.Status != "enrolled" || c.User != user) {
		return changes{}, fmt.Errorf("%w: no enrollment of this user", errAnswer)
	}
	return c, err
}

// factors says what else a user has.
type factors struct {
	Apps     int `json:"authenticators"`
	Recovery int `json:"recovery_codes_left"`
}

func (t *twofa) factors(ctx context.Context, user string) (f factors, err error) {
	err = t.call(ctx, call{method: http.MethodGet, path: userPath(user)}, &f)
	return f, err
}

// authenticator is an app.
type authenticator struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Status string    `json:"status"` // pending or confirmed
	Used   time.Time `json:"used_at"`
}

// apps lists the authenticator apps that a user has confirmed.
func (t *twofa) apps(ctx context.Context, user string) ([]authenticator, error) {
	var list struct {
		All []authenticator `json:"authenticators"`
	}
	err := t.call(ctx, call{method: http.MethodGet, path: userPath(user) + "/totp"}, &list)
	return slices.DeleteFunc(list.All, func(a authenticator) bool { return a.Status != "confirmed" }), err
}

// alerted is a warning that was sent.
type alerted struct {
	To      string `json:"to"` // masked
	Channel string `json:"channel"`
}

// alert warns a user of an event: wrong_password or new_sign_in. device is as the person will
// read it, "" if unknown. It needs the scope alerts.
func (t *twofa) alert(ctx context.Context, user, event, device string) (a alerted, err error) {
	body := map[string]any{"event": event}
	if device != "" {
		body["detail"] = map[string]string{"device": device}
	}
	err = t.call(ctx, call{method: http.MethodPost, path: userPath(user) + "/alerts", body: body}, &a)
	return a, err
}

// problem is a refusal of the service (RFC 9457).
type problem struct {
	Type       string       `json:"type"`
	Status     int          `json:"status"`
	ChecksLeft int          `json:"checks_left"`
	RetryAfter int          `json:"retry_after"` // seconds
	Alerted    bool         `json:"alerted"`     // a warning to the person is on its way
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
