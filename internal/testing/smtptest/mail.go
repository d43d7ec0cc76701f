package smtptest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mail is a mail that the server has accepted.
type Mail struct {
	Hello string // the name in the client's EHLO
	User  string // the authenticated user
	TLS   bool   // the mail came over TLS
	// From and To are from the envelope.
	From, To string

	Header  mail.Header
	Subject string // decoded
	// Text and HTML are the parts, decoded. Empty HTML: there is no such part.
	Text, HTML string
	// Raw is the whole mail as received, without the dots that SMTP adds.
	Raw string
}

// required are the fields that a mail must have exactly once (RFC 5322, 3.6).
var required = []string{"Date", "From", "To", "Subject", "Message-Id", "Mime-Version", "Content-Type"}

// parse reads a mail. It is stricter than the servers in use.
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
		return Mail{}, fmt.Errorf("the field Subject: %w", err)
	}

	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return Mail{}, fmt.Errorf("the field Content-Type: %w", err)
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

// checkLines checks that all servers accept the mail's lines: they have at most 998
// characters, end with CRLF (RFC 5321, 2.3.8 and 4.5.3.1.6), and are in ASCII.
func checkLines(raw []byte) error {
	header := true
	for line := range bytes.Lines(raw) {
		text, ok := bytes.CutSuffix(line, []byte("\r\n"))
		switch {
		case !ok:
			return errors.New("a line does not end with CRLF")
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
	for _, name := range slices.Concat(required, slices.Collect(maps.Keys(h))) {
		if len(h[name]) != 1 {
			return fmt.Errorf("the field %s is there %d times", name, len(h[name]))
		}
	}
	if _, err := h.Date(); err != nil {
		return fmt.Errorf("the field Date: %w", err)
	}
	if from, err := h.AddressList("From"); err != nil || len(from) != 1 {
		return fmt.Errorf("the field From is not one address: %v", err)
	}
	if list, err := h.AddressList("To"); err != nil || len(list) != 1 || list[0].Address != to || list[0].Name != "" {
		return fmt.Errorf("the field To is not the recipient alone: %v", err)
	}
	if id := h.Get("Message-Id"); !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, ">") || strings.Count(id, "@") != 1 {
		return errors.New("the Message-Id is not valid")
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
