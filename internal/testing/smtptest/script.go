package smtptest

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/emersion/go-smtp"
)

// Step is a point of the conversation at which the server can be told to fail.
type Step int

// The steps in their order.
const (
	Greeting  Step = iota // before the greeting, and before TLS if that is implicit
	Auth                  // instead of judging the credentials
	MailFrom              // instead of taking the sender
	Recipient             // instead of taking the recipient
	Content               // after 354, before the mail is read; can only Hang or Drop
	End                   // after the final dot; Hang and Drop keep the mail
)

// Action is what the server does at a step. The zero Action is what it should.
type Action struct {
	kind     kind
	code     int
	enhanced smtp.EnhancedCode
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

// Refuse answers with the code, mostly 400 to 599, and with an enhanced code
// (RFC 3463) like "5.1.1"; "" leaves that out. The mail is not kept.
func Refuse(code int, enhanced string) Action {
	a := Action{kind: refuse, code: code, enhanced: smtp.NoEnhancedCode}
	if enhanced == "" {
		return a
	}
	if _, err := fmt.Sscanf(enhanced, "%d.%d.%d", &a.enhanced[0], &a.enhanced[1], &a.enhanced[2]); err != nil {
		panic("smtptest: no enhanced code: " + enhanced)
	}
	return a
}

// Hang never answers.
func Hang() Action { return Action{kind: hang} }

// Drop closes the connection without an answer.
func Drop() Action { return Action{kind: drop} }

// Garble answers with what is no SMTP, and closes the connection.
func Garble() Action { return Action{kind: garble} }

// Flood answers without an end.
func Flood() Action { return Action{kind: flood} }

// On tells the server what to do whenever a conversation comes to the step.
func (s *Server) On(step Step, a Action) {
	if step == Content && a.kind != proceed && a.kind != hang && a.kind != drop {
		panic("smtptest: the content can be refused at its End only")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script[step] = a
}

// Hung receives whenever the server has come to a step at which it hangs, if
// somebody receives or there is room for one.
func (s *Server) Hung() <-chan struct{} { return s.hung }

func (s *Server) action(step Step) Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.script[step]
}

var errDropped = errors.New("dropped")

// play does what the script wants at a step. It returns nil where the
// conversation goes on.
func (s *Server) play(step Step, conn net.Conn, about string) error {
	a := s.action(step)
	switch a.kind {
	case refuse:
		return &smtp.SMTPError{Code: a.code, EnhancedCode: a.enhanced, Message: fmt.Sprintf("<%s> %s", about, Words)}
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
		// What cannot be written was dropped by the client.
		_, _ = fmt.Fprintf(conn, "%s <%s>\r\n", Words, about)
		fallthrough
	case drop:
		conn.Close()
		return errDropped
	}
	return nil
}

// scriptedListener plays the Greeting, for which go-smtp has no hook.
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
	// Two lines, because greetings may have them.
	_, _ = fmt.Fprintf(conn, "%d-%s\r\n%d %s\r\n", refusal.Code, text, refusal.Code, text)
}
