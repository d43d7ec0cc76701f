package email

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/mail"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"twofa/internal/notify"
)

// maxSubject bounds the subject, in characters, so that no header line comes
// near the limit of 998.
const maxSubject = 200

// compose writes the whole mail, before anybody is called: what fails halfway
// into a conversation would leave half a mail.
func (s *Sender) compose(to string, m notify.Message) ([]byte, error) {
	subject, text, html := s.texts.Mail(m)
	if text == "" {
		return nil, errors.New("email: there is no text")
	}

	// The library would name itself, and the machine in the Message-ID.
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.SetMessageIDWithValue(rand.Text() + "@" + s.domain)
	msg.SetDateWithValue(time.Now().UTC())
	// Nobody's holiday reply is wanted (RFC 3834, 5).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.FromMailAddress(&mail.Address{Name: s.from.Name, Address: s.from.Address})
	msg.ToMailAddress(&mail.Address{Address: to})
	msg.Subject(oneLine(subject, maxSubject))
	msg.SetBodyString(gomail.TypeTextPlain, lines(text))
	if html != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, lines(html))
	}
	var b bytes.Buffer
	_, err := msg.WriteTo(&b)
	return b.Bytes(), err
}

// oneLine makes a text safe to stand in a header: one line, nothing invisible,
// at most limit characters, and no "=?", by which it could pass for a text that
// is encoded already (RFC 2047) and hide anything from whoever looks at it here.
func oneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case r == '\u200c' || r == '\u200d':
			return r // the joiners are part of how Persian and Indic names are spelt
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "=?", "= ?")
	if runes := []rune(s); len(runes) > limit {
		s = strings.TrimRight(string(runes[:limit-1]), " ") + "…"
	}
	return s
}

// lines makes a text safe to be a body: valid UTF-8 without control characters
// other than tabs and line ends.
func lines(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case unicode.IsControl(r) && r != '\n' && r != '\t':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
