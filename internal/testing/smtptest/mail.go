package smtptest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"unicode/utf8"
)

// Mail is a mail that the server has taken.
type Mail struct {
	// Hello is the name by which the client has introduced itself, User whom it
	// has authenticated as, and TLS whether the mail came over TLS.
	Hello string
	User  string
	TLS   bool
	// From and To are the envelope's.
	From, To string

	Header  mail.Header
	Subject string // decoded
	// Text and HTML are the parts, decoded; HTML is "" where there is none.
	Text, HTML string
	// Raw is all of it as it came, without the dots that SMTP adds.
	Raw string
}

// once are the fields that a mail must have, and not twice (RFC 5322, 3.6).
var once = []string{"Date", "From", "To", "Subject", "Message-Id", "Mime-Version", "Content-Type"}

// parse reads a mail, more strictly than any server in use.
func parse(raw []byte, to string) (Mail, error) {
	if err := checkLines(raw); err != nil {
		return Mail{}, err
	}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Mail{}, err
	}
	m := Mail{Header: message.Header, Raw: string(raw)}
	if err := checkHeader(m.Header, to); err != nil {
		return Mail{}, err
	}
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return Mail{}, fmt.Errorf("the Subject: %w", err)
	}

	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return Mail{}, fmt.Errorf("the Content-Type: %w", err)
	}
	if kind != "multipart/alternative" {
		m.Text, err = readPart("text/plain", m.Header.Get, message.Body)
		return m, err
	}
	parts := multipart.NewReader(message.Body, parameters["boundary"])
	for i, want := range []string{"text/plain", "text/html"} {
		part, err := parts.NextRawPart()
		if err != nil {
			return Mail{}, fmt.Errorf("no part %s: %w", want, err)
		}
		text, err := readPart(want, part.Header.Get, part)
		if err != nil {
			return Mail{}, err
		}
		*[]*string{&m.Text, &m.HTML}[i] = text
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		return Mail{}, errors.New("more than two parts")
	}
	return m, nil
}

// checkLines holds a mail to what passes every server: lines of 998 characters
// at most that end in CRLF (RFC 5321, 2.3.8 and 4.5.3.1.6), and seven bits.
func checkLines(raw []byte) error {
	header := true
	for line := range bytes.Lines(raw) {
		text, ok := bytes.CutSuffix(line, []byte("\r\n"))
		switch {
		case !ok:
			return errors.New("a line does not end in CRLF")
		case len(text) > 998:
			return errors.New("a line of more than 998 characters")
		case header && len(text) > 0 && len(bytes.TrimSpace(text)) == 0:
			return errors.New("a blank line in the header")
		}
		for _, c := range text {
			if c != '\t' && (c < ' ' || c > '~') {
				return fmt.Errorf("the byte %#x", c)
			}
		}
		header = header && len(text) > 0
	}
	return nil
}

func checkHeader(h mail.Header, to string) error {
	for _, name := range once {
		if len(h[name]) != 1 {
			return fmt.Errorf("%s stands there %d times", name, len(h[name]))
		}
	}
	for name, values := range h {
		if len(values) != 1 {
			return fmt.Errorf("%s stands there %d times", name, len(values))
		}
	}
	if _, err := h.Date(); err != nil {
		return fmt.Errorf("the Date: %w", err)
	}
	if from, err := h.AddressList("From"); err != nil || len(from) != 1 {
		return fmt.Errorf("the field From is not one address: %v", err)
	}
	if list, err := h.AddressList("To"); err != nil || len(list) != 1 || list[0].Address != to || list[0].Name != "" {
		return fmt.Errorf("the field To is not the recipient alone: %v", err)
	}
	if id := h.Get("Message-Id"); !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, ">") || strings.Count(id, "@") != 1 {
		return errors.New("the Message-Id is none")
	}
	return nil
}

func readPart(want string, header func(string) string, body io.Reader) (string, error) {
	kind, parameters, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil || kind != want || !strings.EqualFold(parameters["charset"], "utf-8") {
		return "", fmt.Errorf("a part is not %s in UTF-8: %v", want, err)
	}
	switch encoding := strings.ToLower(header("Content-Transfer-Encoding")); encoding {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "", "7bit":
	default:
		return "", fmt.Errorf("the encoding %s", encoding)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return "", fmt.Errorf("%s: %w", want, err)
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("%s is not valid UTF-8", want)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n"), nil
}
