package plivotest

import (
	"fmt"
	"net/http"

	"twofa/internal/channel"
	"twofa/internal/testing/doubletest"
)

// Reply is what the double does with a valid request. The zero Reply accepts the message,
// like Accept.
type Reply = doubletest.Reply

// Accept accepts the message: 202, for a call 201, and its id.
func Accept() Reply { return doubletest.Accept() }

// Refuse answers with the status and an error in Plivo's form, which quotes number and
// text as Plivo does.
func Refuse(status int) Reply { return Reply{Status: status} }

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
func answerTo(r Reply, m Message) doubletest.Answer {
	const id = "948b53a2-3f08-11e7-b6f4-061564b78b75"
	switch {
	case r.Status != 0:
		return (&refusal{r.Status, fmt.Sprintf("refused %s%s to %s", m.Text, m.Variable, m.To)}).answer()
	case m.Channel == channel.Call:
		return doubletest.Answer{Status: http.StatusCreated, Body: doubletest.MustJSON(map[string]any{"api_id": id, "message": "call fired", "request_uuid": m.UUID})}
	}
	return doubletest.Answer{Status: http.StatusAccepted, Body: doubletest.MustJSON(map[string]any{"api_id": id, "message": "message(s) queued", "message_uuid": []string{m.UUID}})}
}
