package email

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"twofa/internal/notify"
	"twofa/internal/testing/smtptest"
	realtexts "twofa/internal/texts"
)

// at is a time in a zone that is not UTC.
var at = time.Date(2026, time.March, 1, 1, 2, 3, 4, time.FixedZone("", 3600))

func TestSubjects(t *testing.T) {
	const digits, letters = "482913", "AB3DE9"
	for _, tc := range []struct {
		name, text, code string
		withTime         bool
		want             string
	}{
		{"a code", "Your Acme code", digits, false, "482913 - Your Acme code"},
		{"of letters", "Your Acme code", letters, false, "AB3DE9 - Your Acme code"},
		{"in Arabic", "رمزك من \u2068Acme\u2069", digits, false, "\u2068482913\u2069 - رمزك من \u2068Acme\u2069"},
		{"of letters in Hebrew", "הקוד שלך", letters, false, "\u2068AB3DE9\u2069 - הקוד שלך"},
		{"an Arabic brand in English", "Your \u2068أكمي\u2069 code", letters, false, "\u2068AB3DE9\u2069 - Your \u2068أكمي\u2069 code"},
		{"in Japanese", "Acme の認証コード", digits, false, "482913 - Acme の認証コード"},
		{"the time", "Your Acme code", digits, true, "Your Acme code (2026-03-01 00:02:03 UTC)"},
		{"the time in Persian", "کد شما", digits, true, "کد شما (\u20682026-03-01 00:02:03 UTC\u2069)"},
		{"an isolate that is open", "a \u2068b", digits, false, "482913 - a b"},
		{"an isolate that is closed twice", "a \u2068b\u2069\u2069 c", digits, false, "482913 - a \u2068b\u2069 c"},
		{"an isolate in another", "a \u2068b \u2068c\u2069 d\u2069", digits, false, "482913 - a \u2068b c\u2069 d"},
		{"other controls", "a\u202eb\u2066c\u200b\r\nBcc: d", digits, false, "482913 - abc Bcc: d"},
		{"a line end in an isolate", "a \u2068b\r\nBcc: c\u2069", digits, false, "482913 - a \u2068b Bcc: c\u2069"},
		{"an encoded word", "a =?utf-8?q?b?=", digits, false, "482913 - a = ?utf-8?q?b?="},
		{"an isolate that would be cut", strings.Repeat("a", 180) + " \u2068" + strings.Repeat("b", 20) + "\u2069", digits, false, "482913 - " + strings.Repeat("a", 180) + " bbbbb..."},
		{"a line end in the code", "a", "1\r\nBcc: x\u202e", false, "1 Bcc: x - a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &Sender{codeInSubject: !tc.withTime}
			if got := s.subject(notify.Message{Code: tc.code}, tc.text, at); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

// Two codes never have the same subject: mail programs would fold the mails into one
// conversation, and people would type the older code.
func TestSubjectsOfTwoCodesDiffer(t *testing.T) {
	c, err := realtexts.Load(realtexts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range []string{"en", "de", "ar", "he", "fa", "ur", "ja", "ru", "hi"} {
		for _, withCode := range []bool{true, false} {
			s := &Sender{codeInSubject: withCode}
			subject := func(code string, now time.Time) string {
				m := notify.Message{Code: code, Brand: "Acme", Locale: locale, ValidFor: time.Minute}
				text, _, _ := c.Mail(m)
				return s.subject(m, text, now)
			}
			first, second := subject("482913", at), subject("751002", at.Add(time.Second))
			if first == second || strings.Contains(first, "482913") != withCode || strings.Contains(second, "751002") != withCode {
				t.Errorf("%s, the code in the subject %t: %q, then %q", locale, withCode, first, second)
			}
			if !strings.Contains(first, "Acme") {
				t.Errorf("%s: %q does not name the brand", locale, first)
			}
		}
	}
}

// An alert has no code, so its subject stays as it is.
func TestSubjectOfAnAlert(t *testing.T) {
	for _, withCode := range []bool{true, false} {
		s := &Sender{codeInSubject: withCode}
		if got := s.subject(notify.Message{Alert: true}, "\u2068أكمي\u2069: security alert", at); got != "\u2068أكمي\u2069: security alert" {
			t.Errorf("got %q", got)
		}
	}
}

// The options decide what the server gets.
func TestCodeInTheSubjectIsAnOption(t *testing.T) {
	for _, withCode := range []bool{true, false} {
		r := newRig(t, smtptest.Options{Security: smtptest.Plain}, func(o *Options) { o.CodeInSubject = withCode })
		m := r.send(t, message())
		if strings.Contains(m.Header.Get("Subject"), code) != withCode || strings.Contains(m.Subject, " UTC)") == withCode || !strings.Contains(m.Text, code) {
			t.Errorf("the code in the subject %t: %q", withCode, m.Subject)
		}
	}
}

// For all texts, a subject is short, holds the whole code or time, and has no isolate that
// is open.
func TestSubjectsAreSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Sender{codeInSubject: rapid.Bool().Draw(t, "withCode")}
		m := notify.Message{Code: rapid.StringMatching(`[A-Z0-9]{4,10}`).Draw(t, "code")}
		mark := m.Code
		if !s.codeInSubject {
			mark = "2026-03-01 00:02:03 UTC"
		}
		got := s.subject(m, hostileText().Draw(t, "text"), at)
		checkIsolates(t, got)
		if !strings.Contains(got, mark) || utf8.RuneCountInString(got) > maxSubject || strings.ContainsAny(got, "\r\n\x00") || strings.Contains(got, "=?") {
			t.Errorf("got %q", got)
		}
	})
}

// Spam filters score ids of capitals alone (0.45 % of the ids of earlier releases had no
// digit), of small letters alone, and short runs of small letters and digits.
func TestMessageIDsScoreNothing(t *testing.T) {
	scored := regexp.MustCompile(`^(?:[A-Z]+|[a-z]+|[a-z0-9][a-z0-9$-]{10,29}[a-z0-9])$`)
	form := regexp.MustCompile(`^[0-9]{14}\.[0-9a-f]{32}$`)
	seen := make(map[string]bool)
	for range 5000 {
		id := newID(at.UTC())
		if scored.MatchString(id) || !form.MatchString(id) || seen[id] {
			t.Fatalf("the id %s", id)
		}
		seen[id] = true
	}
}
