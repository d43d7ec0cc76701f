package smtptest

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/emersion/go-smtp"
)

// Step is a step of the conversation at which the server can be scripted.
type Step int

// The steps in their order.
const (
	Greeting  Step = iota // before the greeting, and before implicit TLS
	Auth                  // before the credentials are checked
	MailFrom              // before the sender is accepted
	Recipient             // before the recipient is accepted
	Content               // after 354, before the mail is read; only Hang and Drop are possible
	End                   // after the final dot; with Hang and Drop the mail is stored
)

// Action is what the server does at a step. The zero Action is the normal behaviour.
type Action struct {
	kind     kind
	code     int
	enhanced smtp.EnhancedCode
	text     string // empty: the address and Words
}

type kind int

const (
	proceed kind = iota
	refuse
	hang
	drop
	garble
	flood
)

// Refuse answers with the code, usually 400 to 599, and with an enhanced code (RFC 3463)
// such as "5.1.1". Empty: no enhanced code. The mail is not stored.
func Refuse(code int, enhanced string) Action {
	a := Action{kind: refuse, code: code, enhanced: smtp.NoEnhancedCode}
	if enhanced == "" {
		return a
	}
	if _, err := fmt.Sscanf(enhanced, "%d.%d.%d", &a.enhanced[0], &a.enhanced[1], &a.enhanced[2]); err != nil {
		panic("smtptest: not an enhanced code: " + enhanced)
	}
	return a
}

// Answer refuses with the code and exactly this text, in which %s stands for the user or
// the address. Each \n begins a new line of the answer. The mail is not stored.
func Answer(code int, text string) Action {
	return Action{kind: refuse, code: code, enhanced: smtp.NoEnhancedCode, text: text}
}

// Hang never answers.
func Hang() Action { return Action{kind: hang} }

// Drop closes the connection without an answer.
func Drop() Action { return Action{kind: drop} }

// Garble answers with text that is not SMTP, and closes the connection.
func Garble() Action { return Action{kind: garble} }

// Flood answers endlessly.
func Flood() Action { return Action{kind: flood} }

// On sets what the server does whenever a conversation reaches the step.
func (s *Server) On(step Step, a Action) {
	if step == Content && a.kind != proceed && a.kind != hang && a.kind != drop {
		panic("smtptest: Content can only Hang or Drop; refuse the mail at End")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script[step] = a
}

// Hung receives a value when the server has reached a step at which it hangs. The channel
// holds one value; further ones are dropped.
func (s *Server) Hung() <-chan struct{} { return s.hung }

func (s *Server) action(step Step) Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.script[step]
}

var errDropped = errors.New("dropped")

// play does what the script says for a step. It returns nil if the conversation continues.
// about is the user or the address that the answer quotes.
func (s *Server) play(step Step, conn net.Conn, about string) error {
	a := s.action(step)
	switch a.kind {
	case refuse:
		text := cmp.Or(a.text, "<%s> "+Words)
		return &smtp.SMTPError{Code: a.code, EnhancedCode: a.enhanced, Message: strings.ReplaceAll(text, "%s", about)}
	case hang:
		select {
		case s.hung <- struct{}{}:
		default:
		}
		<-s.ended
		return errDropped
	case flood:
		for {
			if _, err := fmt.Fprintf(conn, "220-%s\r\n", strings.Repeat("x", 500)); err != nil {
				return errDropped
			}
		}
	case garble:
		// If the write fails, the client has closed the connection.
		_, _ = fmt.Fprintf(conn, "%s <%s>\r\n", Words, about)
		fallthrough
	case drop:
		conn.Close()
		return errDropped
	}
	return nil
}

// scriptedListener plays the step Greeting, for which go-smtp has no hook.
type scriptedListener struct {
	net.Listener
	s *Server
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.s.mu.Lock()
		l.s.connections++
		l.s.mu.Unlock()
		if l.s.action(Greeting).kind == proceed {
			return conn, nil
		}
		go l.s.greetBadly(conn)
	}
}

func (s *Server) greetBadly(conn net.Conn) {
	defer conn.Close()
	var refusal *smtp.SMTPError
	if !errors.As(s.play(Greeting, conn, User), &refusal) {
		return
	}
	text := refusal.Message
	if e := refusal.EnhancedCode; e != smtp.NoEnhancedCode {
		text = fmt.Sprintf("%d.%d.%d %s", e[0], e[1], e[2], text)
	}
	// Greetings may have two lines.
	_, _ = fmt.Fprintf(conn, "%d-%s\r\n%d %s\r\n", refusal.Code, text, refusal.Code, text)
}
