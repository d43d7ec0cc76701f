package totp

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"twofa/internal/phone"
	"twofa/internal/problem"
)

// MaxURI is the longest URI that is read, in bytes. A QR code holds 2,953.
const MaxURI = 4096

// maxLabel is the longest issuer or account that is read, in characters.
const maxLabel = 256

// URI returns the text that an app reads from the QR code, in the Key URI format of
// Google Authenticator:
//
//	otpauth://totp/ISSUER:ACCOUNT?secret=...&issuer=...&algorithm=...&digits=...&period=...
//
// The format has the issuer twice, because older apps know only the label. All but
// unreserved characters are percent-encoded (RFC 3986), a space as %20, because
// apps show a + as it is. The format allows no colon in issuer and account. A colon
// is encoded, too, but an app that decodes the label before it splits it may show
// the parts differently. An empty issuer is left out.
func (a Authenticator) URI(issuer, account string) string {
	var b strings.Builder
	b.WriteString("otpauth://totp/")
	if issuer != "" {
		b.WriteString(escape(issuer) + ":")
	}
	b.WriteString(escape(account))
	b.WriteString("?secret=" + a.Base32())
	if issuer != "" {
		b.WriteString("&issuer=" + escape(issuer))
	}
	fmt.Fprintf(&b, "&algorithm=%s&digits=%d&period=%d", a.Algorithm, a.Digits, a.Period)
	return b.String()
}

func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// ParseURI reads a URI as URI and other programs write it. It returns an
// authenticator with the secret and the options, the issuer and the account.
//
// It accepts what other programs do differently: a secret in lower case, with
// spaces, hyphens or padding; a + for a space in a parameter; an issuer in only one
// of its two places, or in neither (if both differ, the parameter counts). It
// ignores parameters that do not change the code. It refuses options that this
// service does not have. The error is of kind InvalidRequest with the field uri,
// and quotes nothing.
func ParseURI(uri string) (a Authenticator, issuer, account string, err error) {
	kind, label, query, ok := cutURI(uri, "otpauth")
	if !ok {
		return a, "", "", noURI(uri, "otpauth")
	}
	switch {
	case strings.EqualFold(kind, "hotp"):
		return a, "", "", uriFault("This is the URI of a counter-based token (HOTP). Only time-based ones (TOTP) are supported.")
	case !strings.EqualFold(kind, "totp"):
		return a, "", "", uriFault("The URI's type is not totp.")
	}
	parameters, bad := readParameters(query)
	if bad != nil {
		return a, "", "", bad
	}
	issuer, account, ok = readLabel(label)
	if given := strings.TrimSpace(parameters["issuer"]); given != "" {
		issuer = given
	}
	faults := new(problem.Faults)
	if !ok || !fitsLabel(issuer) || !fitsLabel(account) {
		faults.Add(uriField, "The URI's issuer and account have to be percent-encoded UTF-8, printable, and at most %d characters each.", maxLabel)
	}
	if encoder := parameters["encoder"]; encoder != "" {
		faults.Add(uriField, "Codes with letters (the parameter encoder) are not supported.")
	}
	secret, fault := readSecret(parameters["secret"])
	if fault != "" {
		faults.Add(uriField, "%s", fault)
	}
	options := Options{
		Algorithm: readAlgorithm(parameters["algorithm"]),
		Digits:    readNumber(parameters["digits"]),
		Period:    readNumber(parameters["period"]),
	}.checkURI(faults)
	if err := faults.Err(); err != nil {
		return Authenticator{}, "", "", err
	}
	return Authenticator{Secret: secret, Options: options}, issuer, account, nil
}

const uriField = "uri"

// known are the parameters that a fault may name: any other may be a secret.
var known = []string{"secret", "issuer", "algorithm", "digits", "period", "counter", "encoder", "data"}

func uriFault(format string, args ...any) error {
	return problem.Invalid(uriField, format, args...)
}

// cutURI splits scheme://kind/label?query. url.Parse would decode the label, so that
// an encoded colon looks like a literal one, and its errors quote the URI.
func cutURI(uri, scheme string) (kind, label, query string, ok bool) {
	uri = phone.Trim(uri) // as lines of files and pasted texts come
	if len(uri) > MaxURI || strings.Contains(uri, "#") {
		return "", "", "", false
	}
	got, rest, ok := strings.Cut(uri, "://")
	if !ok || !strings.EqualFold(got, scheme) {
		return "", "", "", false
	}
	rest, query, _ = strings.Cut(rest, "?")
	kind, label, _ = strings.Cut(rest, "/")
	return kind, label, query, true
}

// noURI says why cutURI has refused a text.
func noURI(uri, scheme string) error {
	begin, _, _ := strings.Cut(strings.TrimSpace(uri), "://")
	switch {
	case len(uri) > MaxURI:
		return uriFault("This is no %s:// URI of at most %d bytes: it has %d.", scheme, MaxURI, len(uri))
	case strings.EqualFold(begin, scheme) && strings.Contains(uri, "#"):
		return uriFault("This is no %s:// URI: it has a # that is not percent-encoded, and whatever is behind that does not belong to the URI. Write %%23 for a # in a name.", scheme)
	}
	return uriFault("This is no %s:// URI of at most %d bytes.", scheme, MaxURI)
}

// readParameters reads a query. It refuses a repeated parameter, because apps differ
// in which of the two they use. A repeated issuer does not matter if it is the same.
func readParameters(query string) (map[string]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil { // not returned: it quotes the query
		return nil, uriFault("The URI's parameters are not percent-encoded.")
	}
	parameters := make(map[string]string, len(values))
	for name, all := range values {
		if name == "issuer" {
			all = slices.Compact(all)
		}
		switch {
		case len(all) > 1 && name == "issuer":
			return nil, uriFault("The URI has the parameter issuer twice, with different values. Leave the wrong one out.")
		case len(all) > 1 && slices.Contains(known, name):
			return nil, uriFault("The URI has the parameter %s twice. Leave one out.", name)
		case len(all) > 1:
			return nil, uriFault("The URI has a parameter twice. Leave one out.")
		}
		parameters[name] = all[0]
	}
	return parameters, nil
}

// readLabel reads [issuer (":" / "%3A")] *"%20" account. If there is a literal colon
// after an issuer, it is the separator.
func readLabel(label string) (issuer, account string, ok bool) {
	account = label
	if i := strings.Index(label, ":"); i >= 0 {
		issuer, account = label[:i], label[i+1:]
	}
	var err error
	if issuer, err = url.PathUnescape(issuer); err != nil {
		return "", "", false
	}
	if account, err = url.PathUnescape(account); err != nil {
		return "", "", false
	}
	for issuer = strings.TrimSpace(issuer); issuer == ""; {
		before, after, found := strings.Cut(account, ":")
		if !found {
			break
		}
		issuer, account = strings.TrimSpace(before), after
	}
	return issuer, strings.TrimSpace(account), true
}

func fitsLabel(text string) bool {
	return utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxLabel &&
		!strings.ContainsFunc(text, func(r rune) bool {
			return !unicode.IsPrint(r) && r != '\u200c' && r != '\u200d' // joiners are part of names and emoji
		})
}

// readAlgorithm also reads the spellings SHA-256 and HmacSHA256.
func readAlgorithm(text string) Algorithm {
	text = strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(text)), "-", "")
	return Algorithm(strings.TrimPrefix(text, "HMAC"))
}

// readNumber returns 0 for an empty text, and -1 for a text that is no valid option.
func readNumber(text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == 0 {
		return -1
	}
	return int(n)
}

// checkURI is Check for the options of a URI: the faults' field is uri.
func (o Options) checkURI(faults *problem.Faults) Options {
	var own problem.Faults
	o = o.Check(&own)
	faults.AddAs(uriField, own.Err())
	return o
}

// ParseSecret reads a secret as people copy it: base32 (RFC 4648) in either case,
// with or without spaces, hyphens and padding. The error is of kind InvalidRequest
// with the field secret, and quotes nothing.
func ParseSecret(text string) ([]byte, error) {
	secret, fault := readSecret(text)
	if fault != "" {
		return nil, problem.Invalid("secret", "%s", fault)
	}
	return secret, nil
}

// readSecret returns the secret, or what is wrong with it.
func readSecret(text string) (secret []byte, fault string) {
	const notBase32 = "The secret is not base32: A-Z and 2-7."
	if len(text) > MaxURI {
		return nil, notBase32
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' || phone.IsInvisible(r) {
			return -1
		}
		if r >= 'a' && r <= 'z' {
			return r + 'A' - 'a'
		}
		return r
	}, text)
	text = strings.TrimRight(text, "=")
	if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return nil, notBase32
	}
	switch len(text) % 8 {
	case 1, 3, 6: // no byte ends at this length
		return nil, fmt.Sprintf("The secret is not base32 of whole bytes: it has %d characters, and no secret has that many. One or more are missing, or there are too many. Copy it again.", len(text))
	}
	secret, err := noPadding.DecodeString(text)
	if err != nil {
		return nil, notBase32
	}
	if fault := checkSecret(secret); fault != "" {
		return nil, fault
	}
	return secret, ""
}

// checkSecret says what is wrong with an imported secret, "" for nothing.
func checkSecret(secret []byte) string {
	switch n := len(secret); {
	case n == 0:
		return "The secret is missing."
	case n < MinSecret:
		return fmt.Sprintf("The secret has only %d bits, and RFC 4226 (R6) requires %d. Enroll a new one.", 8*n, 8*MinSecret)
	case n > MaxSecret:
		return fmt.Sprintf("The secret has over %d bytes.", MaxSecret)
	}
	return ""
}
