package birdtest

import (
	"fmt"
	"net/http"
	"time"

	"twofa/internal/testing/doubletest"
)

// Reply is what the double does with a valid request. The zero Reply accepts the message,
// like Accept.
type Reply = doubletest.Reply

// Accept accepts the message: 202 and its id. A message whose key was accepted before gets
// the same answer again, and is not sent again.
func Accept() Reply { return doubletest.Accept() }

// Refuse answers with the status and an error in Bird's form, which quotes number and text.
// code is like "E01001", name like "ValidationError", param the field at fault ("": none).
func Refuse(status int, code, name, param string) Reply {
	return Reply{Status: status, Error: refusal{status, "", code, name, "", param}}
}

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
	if r.Status != 0 {
		e, _ := r.Error.(refusal)
		e.text = fmt.Sprintf("refused %s%s to %s", m.Text, m.Variable, m.To)
		return e.answer()
	}
	// As with Bird, the text of a one-time code is not given back.
	return doubletest.Answer{Status: http.StatusAccepted, Body: doubletest.MustJSON(map[string]any{
		"id": m.ID, "direction": "outbound", "status": "accepted", "to": m.To, "from": m.From, "text": "**REDACTED**",
		"metadata": m.Metadata, "created_at": m.Time.UTC().Format(time.RFC3339),
	})}
}
