package smtptest

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// session is one connection from its EHLO on. go-smtp makes a new session after STARTTLS.
type session struct {
	s        *Server
	conn     *smtp.Conn
	user     string
	from, to string
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{s: s, conn: c}, nil
}

func (x *session) AuthMechanisms() []string {
	if x.s.options.Open {
		return nil
	}
	return x.s.options.Mechanisms
}

func (x *session) Auth(mechanism string) (sasl.Server, error) {
	x.s.mu.Lock()
	x.s.logins++
	x.s.mu.Unlock()
	login := func(user, password string) error {
		if err := x.s.play(Auth, x.conn.Conn(), user); err != nil {
			return err
		}
		if user != User || password != Password {
			return smtp.ErrAuthFailed
		}
		x.user = user
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(identity, user, password string) error {
			if identity != "" && identity != user {
				return smtp.ErrAuthFailed
			}
			return login(user, password)
		}), nil
	case sasl.Login:
		return &loginServer{login: login}, nil
	case "CRAM-MD5":
		return &cramMD5{login: login}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// loginServer is the mechanism LOGIN, which Exchange uses. It has no RFC.
type loginServer struct {
	login func(user, password string) error
	step  int
	user  string
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	if l.step == 0 && response == nil {
		l.step = 1
		return []byte("Username:"), false, nil
	}
	if l.step < 2 {
		l.step, l.user = 2, string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.login(l.user, string(response))
}

// cramMD5 is the mechanism CRAM-MD5 (RFC 2195).
type cramMD5 struct {
	login func(user, password string) error
	asked bool
}

const cramChallenge = "<1896.697170952@smtptest.example>"

func (c *cramMD5) Next(response []byte) ([]byte, bool, error) {
	if !c.asked {
		c.asked = true
		return []byte(cramChallenge), false, nil
	}
	user, digest, _ := bytes.Cut(response, []byte(" "))
	mac := hmac.New(md5.New, []byte(Password))
	mac.Write([]byte(cramChallenge))
	password := ""
	if hex.EncodeToString(mac.Sum(nil)) == string(digest) {
		password = Password
	}
	return nil, true, c.login(string(user), password)
}

func (x *session) Mail(from string, o *smtp.MailOptions) error {
	if o.UTF8 {
		x.s.addMalformed(errors.New("the client asks for SMTPUTF8, which a later server may not support"))
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 6, 7}, Message: Words}
	}
	if err := x.s.play(MailFrom, x.conn.Conn(), from); err != nil {
		return err
	}
	if x.user == "" && !x.s.options.Open {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: Words}
	}
	x.from = from
	return nil
}

func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := x.s.play(Recipient, x.conn.Conn(), to); err != nil {
		return err
	}
	x.to = to
	return nil
}

func (x *session) Data(r io.Reader) error {
	if err := x.s.play(Content, x.conn.Conn(), x.to); err != nil {
		return err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := parse(raw, x.to)
	if err != nil {
		x.s.addMalformed(err)
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: err.Error()}
	}
	_, m.TLS = x.conn.TLSConnectionState()
	m.Hello, m.User, m.From, m.To = x.conn.Hostname(), x.user, x.from, x.to
	if x.s.action(End).kind != refuse {
		x.s.mu.Lock()
		x.s.mails = append(x.s.mails, m)
		x.s.mu.Unlock()
	}
	return x.s.play(End, x.conn.Conn(), x.to)
}

func (x *session) Reset()        { x.from, x.to = "", "" }
func (x *session) Logout() error { return nil }
