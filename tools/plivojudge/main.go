// Command plivojudge answers questions with Plivo's own library for Go: whether the library accepts
// a signature, and what it sends for a message or a call. The tests of internal/notify/plivo compare
// our code with the answers. It is in this module, so that the product does not depend on the
// library.
//
//	plivojudge BASE-URL AUTH-ID AUTH-TOKEN
//
// It reads one question in JSON a line, answers each in a line, and ends with its input. The
// library's requests go to BASE-URL, and to no other host.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	plivo "github.com/plivo/plivo-go/v7"
)

// question has one of its fields.
type question struct {
	Signed  *signed
	Message *message
	Call    *call
	// MessageBody and CallBody are bodies that our code sends.
	MessageBody, CallBody json.RawMessage
}

// signed is a POST that Plivo may have signed.
type signed struct {
	URL, Nonce, Signature string
	Params                map[string]string
}

// message is a message to send. Numbers have no plus. Empty fields: none.
type message struct {
	Kind                      string // sms or whatsapp
	From, Powerpack, To, Text string
	Expiry                    int    // seconds
	Reports                   string // the URL for reports
	Template                  *template
	Entity, ID, Category      string // the registration in India
}

// template is a template of WhatsApp with one variable.
type template struct {
	Name, Language, Variable string
	Copies                   bool // it has a button that copies the variable
}

// call is a call to make.
type call struct {
	From, To           string
	AnswerURL          string
	HangupURL          string
	RingTimeout, Limit int64 // seconds
}

// answer is the answer to a question.
type answer struct {
	Signature string // what the library computes
	Accepted  bool   // whether it accepts the signature of the question
	UUID      string // what the API has answered to the request
	Error     string // why the library has refused the question or the API the request
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "plivojudge:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 3 {
		return errors.New("wants a base URL, an auth ID and a token")
	}
	base, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	client, err := plivo.NewClient(args[1], args[2], &plivo.ClientOptions{HttpClient: &http.Client{Transport: redirect{base}}})
	if err != nil {
		return err
	}
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q question
		if err := decoder.Decode(&q); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := encoder.Encode(q.answer(client)); err != nil {
			return err
		}
	}
}

// redirect sends every request to the base. The library has no setting for that: its calls ignore
// the base URL of the client.
type redirect struct{ base *url.URL }

func (r redirect) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host, out.Host = r.base.Scheme, r.base.Host, ""
	return http.DefaultTransport.RoundTrip(out)
}

func (q question) answer(client *plivo.Client) (a answer) {
	var err error
	switch {
	case q.Signed != nil:
		s := q.Signed
		a.Signature = plivo.ComputeSignatureV3(client.AuthToken, s.URL, http.MethodPost, s.Nonce, s.Params)
		a.Accepted = plivo.ValidateSignatureV3(s.URL, s.Nonce, http.MethodPost, s.Signature, client.AuthToken, s.Params)
	case q.Message != nil:
		var r *plivo.MessageCreateResponseBody
		if r, err = client.Messages.Create(q.Message.params()); err == nil && len(r.MessageUUID) == 1 {
			a.UUID = r.MessageUUID[0]
		}
	case q.Call != nil:
		var r *plivo.CallCreateResponse
		if r, err = client.Calls.Create(q.Call.params()); err == nil {
			a.UUID, _ = r.RequestUUID.(string)
		}
	case q.MessageBody != nil:
		var p plivo.MessageCreateParams
		if err = decodeStrictly(q.MessageBody, &p); err == nil && p.Template != nil {
			err = checkTemplate(p.Template)
		}
	case q.CallBody != nil:
		err = decodeStrictly(q.CallBody, new(plivo.CallCreateParams))
	default:
		err = errors.New("no question")
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

func (m message) params() plivo.MessageCreateParams {
	p := plivo.MessageCreateParams{
		Src: m.From, PowerpackUUID: m.Powerpack, Dst: m.To, Type: m.Kind, Text: m.Text, Log: false, MessageExpiry: m.Expiry,
		DLTEntityID: m.Entity, DLTTemplateID: m.ID, DLTTemplateCategory: m.Category,
	}
	if m.Reports != "" {
		p.URL, p.Method = m.Reports, http.MethodPost
	}
	if t := m.Template; t != nil {
		variable := []plivo.Parameter{{Type: "text", Text: t.Variable}}
		p.Template = &plivo.Template{Name: t.Name, Language: t.Language, Components: []plivo.Component{{Type: "body", Parameters: variable}}}
		if t.Copies {
			p.Template.Components = append(p.Template.Components, plivo.Component{Type: "button", SubType: "url", Index: "0", Parameters: variable})
		}
	}
	return p
}

func (c call) params() plivo.CallCreateParams {
	return plivo.CallCreateParams{
		From: c.From, To: c.To, AnswerURL: c.AnswerURL, AnswerMethod: http.MethodPost, HangupURL: c.HangupURL, HangupMethod: http.MethodPost,
		RingTimeout: c.RingTimeout, TimeLimit: c.Limit,
	}
}

// decodeStrictly reads a body into the library's parameters. It refuses a name that the library does
// not know, and a value of another type.
func decodeStrictly(body []byte, params any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	return decoder.Decode(params)
}

// checkTemplate makes the library check a template. It does so only for templates that it reads.
func checkTemplate(t *plivo.Template) error {
	text, err := json.Marshal(t)
	if err == nil {
		_, err = plivo.CreateWhatsappTemplate(string(text))
	}
	return err
}
