package handler

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"twofa/internal/problem"
	"twofa/internal/secret"

	"github.com/go-json-experiment/json"
)

// answer is what an endpoint returns. Only respond writes it.
type answer struct {
	status int
	body   any               // nil for none
	header map[string]string // in addition to those of every answer
	quiet  bool              // no line in the log: it is asked for every few seconds
	fields []string          // the names that the body may have, of which the log may have those at fault

	cookies []*http.Cookie
	// refused is why a page says that something could not be done. The log has it as the
	// problem of the request, and the answer is the page.
	refused error
}

// verbatim is a body that is not JSON.
type verbatim struct {
	contentType string
	text        []byte
}

// titleInternal says nothing about the failure, which only the log may hold.
const titleInternal = "Internal error"

// textInternal is the answer if no other can be made.
const textInternal = `{"type":"urn:twofa:internal","title":"` + titleInternal + `","status":500}` + "\n"

// statusOf is the error table of docs/errors.md. Only here a kind gets a status
// and a title.
var statusOf = map[problem.Kind]struct {
	status int
	title  string
}{
	problem.InvalidRequest:        {http.StatusBadRequest, "The request is not valid"},
	problem.WrongCode:             {http.StatusUnprocessableEntity, "The code is not right"},
	problem.NotFound:              {http.StatusNotFound, "Not found"},
	problem.AlreadyUsed:           {http.StatusConflict, "The code was used before"},
	problem.NotYetApproved:        {http.StatusConflict, "Not approved yet"},
	problem.IdempotencyConflict:   {http.StatusConflict, "The idempotency key belongs to another request, or to one that is under way"},
	problem.PreconditionFailed:    {http.StatusPreconditionFailed, "The user has changed since you read it"},
	problem.Unauthorized:          {http.StatusUnauthorized, "The credentials are missing, or not right"},
	problem.Forbidden:             {http.StatusForbidden, "The request is not allowed"},
	problem.Expired:               {http.StatusGone, "The verification has expired"},
	problem.Canceled:              {http.StatusGone, "The verification was canceled"},
	problem.Denied:                {http.StatusGone, "The verification was denied"},
	problem.TooManyChecks:         {http.StatusTooManyRequests, "Too many wrong codes"},
	problem.TooManySends:          {http.StatusTooManyRequests, "Too many messages"},
	problem.ResendTooSoon:         {http.StatusTooManyRequests, "Too soon for another message"},
	problem.DestinationRefused:    {http.StatusForbidden, "The service does not send to this destination"},
	problem.Undeliverable:         {http.StatusUnprocessableEntity, "The address cannot be reached"},
	problem.ProviderUnavailable:   {http.StatusBadGateway, "The provider did not accept the message"},
	problem.ProviderMisconfigured: {http.StatusBadGateway, "The provider refuses this service's settings"},
	problem.TooManyChanges:        {http.StatusTooManyRequests, "Too many changes of factors"},
	problem.Busy:                  {http.StatusServiceUnavailable, "The service is busy"},
	problem.StorageUnavailable:    {http.StatusServiceUnavailable, "Storage is unavailable"},
	problem.PayloadTooLarge:       {http.StatusRequestEntityTooLarge, "The body is too large"},
	problem.UnsupportedMediaType:  {http.StatusUnsupportedMediaType, "The content type is not supported"},
	problem.MethodNotAllowed:      {http.StatusMethodNotAllowed, "The method is not allowed here"},
	problem.Internal:              {http.StatusInternalServerError, titleInternal},
}

var errNoRoute = &problem.Error{Kind: problem.NotFound, Detail: "There is no such path. The API is below /api/otpsend, /api/otpverify and /api/users/{name}."}

// problemJSON is an error's body (RFC 9457).
type problemJSON struct {
	Type       string  `json:"type"`
	Title      string  `json:"title"`
	Status     int     `json:"status"`
	Detail     string  `json:"detail,omitempty"`
	ID         string  `json:"id,omitempty"`
	ChecksLeft *int    `json:"checks_left,omitempty"`
	Alerted    bool    `json:"alerted,omitzero"`
	Replaced   bool    `json:"replaced,omitzero"`
	RetryAfter int     `json:"retry_after,omitzero"` // seconds, as the header
	Errors     []field `json:"errors,omitempty"`
}

type field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// asError returns the problem that an endpoint's error stands for. An unknown
// error becomes Internal. The log gets its type only, because its text may hold
// anything.
func asError(err error) *problem.Error {
	e, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return &problem.Error{Kind: problem.Internal, Err: fmt.Errorf("an error of type %T", err)}
	}
	if _, known := statusOf[e.Kind]; !known {
		return &problem.Error{Kind: problem.Internal, Err: err}
	}
	return e
}

// foreign is why nothing is found in a store that was filled under another secret.
const foreign = "The rows of this store were sealed with a secret that is not in TWOFA_SECRET, so nothing from before is found. The operator has to put that secret back, at the end of the list."

// explained returns the error with the reason why nothing is found, if there is one.
func (a *API) explained(e *problem.Error) *problem.Error {
	if !a.Foreign || e.Kind != problem.NotFound || e == errNoRoute {
		return e
	}
	because := *e
	because.Detail = strings.TrimSpace(e.Detail + " " + foreign)
	return &because
}

// asProblem returns the body of an error.
func asProblem(e *problem.Error) problemJSON {
	s := statusOf[e.Kind]
	p := problemJSON{
		Type: "urn:twofa:" + string(e.Kind), Title: s.title, Status: s.status,
		Detail: e.Detail, ID: e.ID, ChecksLeft: e.ChecksLeft, Alerted: e.Alerted, Replaced: e.Replaced,
	}
	if e.RetryAfter > 0 {
		p.RetryAfter = int(math.Ceil(e.RetryAfter.Seconds())) // round up: never tell a client to return early
	}
	if e.Kind == problem.Internal {
		p.Detail = "The failure was logged under the request id of this answer."
		if errors.Is(e.Err, secret.ErrUnknownSecret) { // the one cause that the operator can mend
			p.Detail = e.Detail + " " + p.Detail
		}
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, field{f.Name, f.Message})
	}
	if p.Detail == "" {
		p.Detail = detailOf(p)
	}
	return p
}

// detailOf says what is wrong in one text, for clients that show only that: the faults
// of the fields, each behind the field's name.
func detailOf(p problemJSON) string {
	if len(p.Errors) == 0 {
		return p.Title + "."
	}
	var faults []string
	for _, f := range p.Errors {
		faults = append(faults, f.Field+": "+strings.TrimSuffix(f.Message, ".")+".")
	}
	return strings.Join(faults, " ")
}

// respond writes the answer, or the problem instead if failed is not nil, and
// returns the status.
func respond(w http.ResponseWriter, ans answer, failed *problem.Error) int {
	header := w.Header()
	for name, value := range ans.header {
		if value != "" {
			header.Set(name, value)
		}
	}
	for _, c := range ans.cookies {
		header.Add("Set-Cookie", c.String())
	}
	status, body, contentType := ans.status, ans.body, "application/json"
	if failed != nil {
		p := asProblem(failed)
		status, body, contentType = p.Status, p, "application/problem+json"
		if p.RetryAfter > 0 {
			header.Set("Retry-After", strconv.Itoa(p.RetryAfter))
		}
	}
	if body == nil {
		w.WriteHeader(status)
		return status
	}
	text, err := encode(body, &contentType)
	if err != nil { // a defect in our own types: the answer must not look like an approval
		status, contentType = http.StatusInternalServerError, "application/problem+json"
		text = []byte(textInternal)
	}
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // an error means that the client is gone
	return status
}

// encode returns the text of a body. It sets contentType for a verbatim one.
func encode(body any, contentType *string) ([]byte, error) {
	if v, ok := body.(verbatim); ok {
		*contentType = v.contentType
		return v.text, nil
	}
	text, err := json.Marshal(body)
	return append(text, '\n'), err
}
