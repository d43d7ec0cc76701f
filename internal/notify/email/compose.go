package email

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math"
	"net/mail"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"twofa/internal/notify"
)

// refID is the field by which Gmail tells mails apart that have the same subject and
// sender, so that it does not fold them into one conversation.
const refID = gomail.Header("X-Entity-Ref-ID")

// compose writes the whole mail. Send calls it before it connects, because a
// fault in the middle of a conversation would leave half a mail.
func (s *Sender) compose(to string, m notify.Message) ([]byte, error) {
	subject, text, html := s.texts.Mail(m)
	if text == "" {
		return nil, errors.New("email: the text is empty")
	}

	// By default the library adds its own name, and the host name in the
	// Message-ID.
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	now := time.Now().UTC()
	id := newID(now)
	msg.SetMessageIDWithValue(id + "@" + s.domain)
	msg.SetGenHeader(refID, id)
	msg.SetDateWithValue(now)
	// This keeps mail programs from sending holiday replies (RFC 3834, 5).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.FromMailAddress(&mail.Address{Name: s.from.Name, Address: s.from.Address})
	msg.ToMailAddress(&mail.Address{Address: to})
	msg.Subject(s.subject(m, subject, now))
	msg.SetBodyString(gomail.TypeTextPlain, lines(text))
	if html != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, lines(html))
	}
	var b bytes.Buffer
	_, err := msg.WriteTo(&b)
	return b.Bytes(), err
}

// newID returns a unique id for a mail: the time and 128 random bits, as digits, a dot
// and lower-case hexadecimal. Spam filters score ids that are letters only, or a short
// run of letters and digits.
func newID(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return now.Format("20060102150405") + "." + hex.EncodeToString(b[:])
}

// headerText makes a text safe for a header: [notify.OneLine], and without "=?".
// A mail program would decode a text that begins with "=?" (RFC 2047), so that it
// could show something else than the checks here have seen.
func headerText(s string, limit int) string {
	s = strings.ReplaceAll(notify.OneLine(s, math.MaxInt), "=?", "= ?") // which may make it longer
	return notify.Truncate(s, limit)
}

// lines makes a text safe for a body: valid UTF-8 without control characters,
// except tabs and line ends.
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
