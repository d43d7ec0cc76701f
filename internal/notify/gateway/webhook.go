package gateway

import (
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

const (
	// MaxWebhook is the longest body of a provider's request, in bytes. The longest, a person's
	// message of 1,600 characters, has about 10 KiB.
	MaxWebhook = 16 << 10
	// MaxAttempt is far more than the attempts of one verification.
	MaxAttempt = 9999
)

// Form is the media type of a form.
const Form = "application/x-www-form-urlencoded"

// Callback is the URL of ours, below the public one, that a provider calls for a message. Empty:
// none, because there is no public URL or nothing to name the message by. The query identifies
// the message, in the one form that ReadAttempt accepts.
func Callback(publicURL, path string, m notify.Message) string {
	if publicURL == "" || m.Verification == "" || m.Attempt < 1 {
		return ""
	}
	return publicURL + path + "?id=" + url.QueryEscape(string(m.Verification)) + "&attempt=" + strconv.Itoa(m.Attempt)
}

// ReadAttempt reads the two texts by which a provider gives back which message it means. It accepts
// only the one form of each.
func ReadAttempt(id, attempt string) (verification otp.ID, n int, ok bool) {
	verification, fault := otp.ParseID(id)
	n, err := strconv.Atoi(attempt)
	if fault != nil || err != nil || n < 1 || n > MaxAttempt || strconv.Itoa(n) != attempt {
		return "", 0, false
	}
	return verification, n, true
}

// ReadWebhook returns the body of a provider's request, which is a POST of that media type. The error
// is [notify.ErrForged], or a *problem.Error of kind PayloadTooLarge.
func ReadWebhook(r *http.Request, mediaType string) ([]byte, error) {
	tooLarge := &problem.Error{Kind: problem.PayloadTooLarge, Detail: "A body is at most 16 KiB."}
	if r.ContentLength > MaxWebhook {
		return nil, tooLarge
	}
	if r.Body == nil {
		return nil, notify.ErrForged
	}
	// The size comes first: a request that is too large is not called forged.
	body, unread := io.ReadAll(io.LimitReader(r.Body, MaxWebhook+1))
	if len(body) > MaxWebhook {
		return nil, tooLarge
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if unread != nil || r.Method != http.MethodPost || err != nil || media != mediaType {
		return nil, notify.ErrForged
	}
	return body, nil
}

// SignedParams returns the parameters of a form whose names and values are signed without
// separators. It refuses two forms that such a signature does not protect. One is a repeated
// parameter: libraries sign it in different ways, or its first value only. The other is a name
// that does not begin with a letter: the last digits of what is signed before the form, such as
// the query's, could be moved into such a name.
func SignedParams(form url.Values) (params map[string]string, ok bool) {
	params = make(map[string]string, len(form))
	for name, values := range form {
		if len(values) != 1 || name == "" || !ConsistsOf(name[:1], Lower+Upper) {
			return nil, false
		}
		params[name] = values[0]
	}
	return params, true
}

// Deciding is a parameter that decides what a request means.
type Deciding struct {
	Name string
	// Length returns how many bytes at the beginning of s have the form of a value.
	// 0: s does not begin with such a value.
	Length func(s string) int
	// Longer are the parameters whose names end with this name, and whose values may have
	// the same form.
	Longer []string
}

// SignedText is what a provider signs of a request without separators: a prefix, then the names and
// values of the form, sorted by name.
//
// Whoever has a signed request, such as one about a message that they wrote themselves, can cut such a
// text into other names and values: the text "NOFrom+14155550123" becomes the text "NO" and another
// sender. The signature is right for both. So a deciding parameter is accepted only if the text holds its
// name and a value of its form nowhere else: neither in a value, nor in a name, nor across the border of
// two parameters. Then the text has one reading: see Ambiguity.
type SignedText struct {
	Text   string
	starts []int    // where each parameter begins, in order
	names  []string // their names
}

// NewSignedText puts a text together.
func NewSignedText(prefix string, params map[string]string) SignedText {
	var b strings.Builder
	b.WriteString(prefix)
	s := SignedText{names: slices.Sorted(maps.Keys(params))}
	for _, name := range s.names {
		s.starts = append(s.starts, b.Len())
		b.WriteString(name)
		b.WriteString(params[name])
	}
	s.Text = b.String()
	return s
}

// Ambiguity looks for a deciding parameter at a place where it is not a parameter of its own. It returns
// the parameter's name, "" if the text has one reading, and the name of the parameter that holds it, ""
// for the prefix. That name is from outside.
func (s SignedText) Ambiguity(parameters []Deciding) (name, holder string) {
	for _, p := range parameters {
		for from := 0; ; {
			at := strings.Index(s.Text[from:], p.Name)
			if at < 0 {
				break
			}
			at += from
			from = at + 1
			value := at + len(p.Name)
			n := p.Length(s.Text[value:])
			if n == 0 {
				continue
			}
			i, end := s.holderOf(at)
			if i < 0 {
				return p.Name, ""
			}
			isOwn := s.names[i] == p.Name && s.starts[i] == at
			isLonger := slices.Contains(p.Longer, s.names[i]) && s.starts[i]+len(s.names[i]) == value
			if !isOwn && !isLonger || value+n != end {
				return p.Name, s.names[i]
			}
		}
	}
	return "", ""
}

// holderOf returns the index of the parameter that holds this byte of the text, and
// where the parameter ends. The index is -1 for a byte of the prefix.
func (s SignedText) holderOf(at int) (i, end int) {
	next, _ := slices.BinarySearch(s.starts, at+1)
	if next < len(s.starts) {
		return next - 1, s.starts[next]
	}
	return next - 1, len(s.Text)
}

// DigitsLength is a Length of numbers without a sign.
func DigitsLength(s string) int { return len(s) - len(strings.TrimLeft(s, Digits)) }
