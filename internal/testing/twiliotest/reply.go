package twiliotest

import (
	"fmt"
	"net/http"
	"time"

	"twofa/internal/testing/doubletest"
)

// Reply is what the double does with a valid request. The zero Reply accepts the message,
// like Accept. Its Error is an int, the error number.
type Reply = doubletest.Reply

// Accept accepts the message: 201 and the Message resource.
func Accept() Reply { return doubletest.Accept() }

// AcceptFailed answers 201 with a Message resource that has already failed with the error
// number.
func AcceptFailed(code int) Reply { return Reply{Status: http.StatusCreated, Error: code} }

// Refuse answers with the status and an error in Twilio's form, which quotes number and
// text as Twilio does.
func Refuse(status, code int) Reply { return Reply{Status: status, Error: code} }

// Raw answers with exactly this body, like a proxy or a broken server.
func Raw(status int, body string) Reply { return doubletest.Raw(status, body) }

// Redirect answers 307, which asks for the same POST to another URL.
func Redirect(location string) Reply { return doubletest.Redirect(location) }

// Hang never answers. It ends when the client or the double is closed.
func Hang() Reply { return doubletest.Hang() }

// Drop closes the connection instead of answering.
func Drop() Reply { return doubletest.Drop() }

// Cut accepts the message and closes the connection in the middle of the answer.
func Cut() Reply { return doubletest.Cut() }

// answerTo words the answer to a message.
func (d *Double) answerTo(r Reply, m Message) doubletest.Answer {
	code, _ := r.Error.(int)
	switch {
	case r.Status == 0:
		status := "queued"
		if m.From == "" { // calls always have one
			status = "accepted" // the service has not chosen a sender yet
		}
		return doubletest.Answer{Status: http.StatusCreated, Body: d.resource(m, status, 0)}
	case r.Status < 300:
		m.SID, m.Time = m.sid(0), time.Now()
		return doubletest.Answer{Status: r.Status, Code: code, Body: d.resource(m, "failed", code)}
	}
	quoted := m.Body + m.Twiml
	if quoted == "" {
		quoted = fmt.Sprint(m.Variables)
	}
	return (&refusal{r.Status, code, fmt.Sprintf("Refused %s to %s", quoted, m.To)}).answer()
}
