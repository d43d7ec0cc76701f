// Package session has what a page session is: the check of one person in one browser, which
// an app began and whose approval only that app can fetch.
//
// The transitions of a session are pure. The package must never decide whether a code is
// right, and never give a result to another browser than the one that the session is bound
// to.
package session

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/secret"
)

// Lifetime is how long a person has for a session, and FetchFor how long its approval can
// be fetched.
const (
	Lifetime = 30 * time.Minute
	FetchFor = 10 * time.Minute
)

// Hash is a SHA-256 of something that only its owner should know.
type Hash [32]byte

// HashOf returns the hash of a text.
func HashOf(text string) Hash { return sha256.Sum256([]byte(text)) }

// IsZero reports whether there is no hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// is compares in constant time.
func (h Hash) is(other Hash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }

// The paths of the pages below the service's origin.
const (
	CheckPath  = "/verify/check"
	EnrollPath = "/verify/enroll"
	LinkPath   = "/verify/link"
	// SignInPath and SignInLinkPath are those of sign-in.
	SignInPath     = "/oidc/signin"
	SignInLinkPath = "/oidc/link"
)

// Site is where people reach the pages.
type Site struct {
	// PublicURL is the service's origin, "" if it is not known.
	PublicURL string
	// HasClients is true if the service knows its clients. Only a known client has
	// addresses to which a browser may go back.
	HasClients bool
}

// Read adds the faults of what a client asks for, and of a service that has no pages. The
// names of the fields begin with prefix.
func (s Site) Read(prefix string, c client.Client, a Asked, faults *problem.Faults) {
	field := strings.TrimSuffix(prefix, ".")
	if field == "" {
		field = "return_url"
	}
	switch {
	case !s.HasClients:
		faults.Add(field, "This service has no pages, because it has one client without a name: the operator has to set TWOFA_CLIENTS.")
	case s.PublicURL == "":
		faults.Add(field, "This service has no pages, because TWOFA_PUBLIC_URL is not set.")
	default:
		a.read(prefix, c, faults)
	}
}

// URL is the address of a page with that parameter t.
func (s Site) URL(path, t string) string {
	return s.PublicURL + path + "?" + url.Values{"t": {t}}.Encode()
}

// Page is what the address of a page holds, sealed: what the app asked for, and what the
// page shows. It says nothing about what was done since: the session's row does.
type Page struct {
	Version   int               `json:"v"`
	Session   otp.Session       `json:"s"`
	Client    string            `json:"c"`
	Directory string            `json:"d"`
	Return    Hash              `json:"r"` // of the return address, which the client has to have still
	State     Hash              `json:"h"`
	Purpose   string            `json:"p"`
	Locale    string            `json:"l,omitzero"`
	Context   otp.Transaction   `json:"x,omitzero"`
	User      otp.UserKey       `json:"u,omitzero"`
	Since     int64             `json:"z,omitzero"` // of an enrolment: when the user was registered, in Unix milliseconds
	Origin    otp.Origin        `json:"o,omitzero"` // of the addresses, before a browser is seen
	Given     bool              `json:"g,omitzero"` // the app gave the address: nobody can change it on the page
	Channels  []channel.Channel `json:"k,omitzero"` // those that the app named
	App       bool              `json:"a,omitzero"` // the user has an authenticator app
	Recovery  bool              `json:"b,omitzero"` // the user has recovery codes
	ExpiresAt int64             `json:"e"`          // in Unix seconds
	Sent      *Sent             `json:"n,omitzero"`
	// SignIn is true for a sign-in. FormAction is where its forms lead in the end, beside this
	// service: see web.Headers. "" for nowhere.
	SignIn     bool   `json:"j,omitzero"`
	FormAction string `json:"f,omitzero"`
}

// Sent is the last code of a session as the page shows it.
type Sent struct {
	ID          otp.ID            `json:"i,omitzero"`
	Address     string            `json:"a,omitzero"` // "" for a user
	To          string            `json:"t"`          // masked
	Channel     channel.Channel   `json:"c"`
	Workflow    []channel.Channel `json:"w,omitzero"` // in which the address can be reached
	ExpiresAt   int64             `json:"e"`          // in Unix seconds
	ResendAfter int64             `json:"r,omitzero"` // in Unix seconds
	Length      int               `json:"l"`
	Digits      bool              `json:"d,omitzero"`
	Failed      bool              `json:"f,omitzero"` // a message was not delivered
	Known       bool              `json:"k,omitzero"` // started in a browser in which the address was proven before
}

const pageVersion = 1

// Asked is what an app asks for when it begins a session.
type Asked struct {
	ReturnURL string `json:"return_url"`
	State     string `json:"state"`
}

// stateCharacters need no escape in a URL or a cookie (RFC 3986, 2.3).
const stateCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// The lengths of a state. The shortest has 128 bits in base64.
const (
	minState = 22
	maxState = 128
)

func (a Asked) read(prefix string, c client.Client, faults *problem.Faults) {
	if !slices.Contains(c.ReturnURLs, a.ReturnURL) {
		faults.Add(prefix+"return_url", "Give one of this client's return_urls, exactly as it stands in TWOFA_CLIENTS.")
	}
	if len(a.State) < minState || len(a.State) > maxState || strings.Trim(a.State, stateCharacters) != "" {
		faults.Add(prefix+"state", "A state is %d to %d characters of A-Z a-z 0-9 - . _ and ~: random, new for each page, and in a cookie of your app in this browser.", minState, maxState)
	}
}

// New returns the page of a session that begins now. The rest of the fields are the caller's.
func New(s otp.Session, c client.Client, a Asked, now time.Time) Page {
	return Page{
		Version: pageVersion, Session: s, Client: c.ID, Directory: c.Directory, Return: HashOf(a.ReturnURL), State: HashOf(a.State),
		ExpiresAt: now.Add(Lifetime).Unix(),
	}
}

// Expires is when the session ends.
func (p Page) Expires() time.Time { return time.Unix(p.ExpiresAt, 0).UTC() }

// OpenFor is how long the address of an enrolment page opens in a browser that has not opened
// it before. An app sends the browser there at once; who learns the address later, out of a
// history or a log, gets no page.
const OpenFor = 2 * time.Minute

// Opens reports whether the page opens in a browser that has not opened it before.
func (p Page) Opens(now time.Time) bool { return now.Before(p.Expires().Add(OpenFor - Lifetime)) }

// Over reports whether the session has ended.
func (p Page) Over(now time.Time) bool { return !now.Before(p.Expires()) }

// ReturnURL is the address of the client's that the browser goes to in the end, "" if the
// client has it no more.
func (p Page) ReturnURL(c client.Client) string {
	for _, u := range c.ReturnURLs {
		if HashOf(u).is(p.Return) {
			return u
		}
	}
	return ""
}

// Valid reports whether a page that was opened is of this version and the client, which may
// have such pages if it has the scope.
func (p Page) Valid(c client.Client, scope client.Scope) bool {
	return p.Version == pageVersion && p.Client == c.ID && p.Directory == c.Directory && c.May(scope)
}

// Link is what the address of a magic link holds, sealed. It has no code.
type Link struct {
	Page
	// Verification is the one whose code the mail has, and Attempt (from 1) the message.
	Verification otp.ID `json:"i,omitzero"`
	Attempt      int    `json:"m,omitzero"`
	Until        int64  `json:"q,omitzero"` // when the code ends, in Unix seconds
}

const idPrefix = "PS"

// Name is a session's id in requests and answers: PS and 32 hexadecimal digits.
func Name(s otp.Session) string { return idPrefix + hex.EncodeToString(s[:]) }

// Parse reads an id as Name writes it.
func Parse(text string) (s otp.Session, ok bool) {
	digits, ok := strings.CutPrefix(text, idPrefix)
	if !ok || len(digits) != 2*len(s) || strings.ToLower(digits) != digits {
		return s, false
	}
	_, err := hex.Decode(s[:], []byte(digits))
	return s, err == nil && s != otp.Session{}
}

// Random draws a session.
func Random() (s otp.Session) {
	_, _ = rand.Read(s[:]) // never fails: crypto/rand ends the process instead
	return s
}

// Of returns the session in which a verification was started. A repetition of the request
// finds the same one.
func Of(keys *secret.Keyring, id otp.ID) otp.Session { return derived(keys, "id", string(id)) }

// Repeated returns the session of a request that starts no verification, by its idempotency
// key and contents.
func Repeated(keys *secret.Keyring, client string, i otp.Idempotency) otp.Session {
	return derived(keys, "request", client, string(i.Key[:]), string(i.Body[:]))
}

// derived returns a hash under the index key. Nothing else begins with session and a null
// byte there.
func derived(keys *secret.Keyring, parts ...string) otp.Session {
	sum := keys.Index("session\x00" + strings.Join(parts, "\x00"))
	return otp.Session(sum[:16])
}

// Result is what the browser carries to the app.
type Result [16]byte

// NewResult draws a result.
func NewResult() (r Result) {
	_, _ = rand.Read(r[:]) // never fails: crypto/rand ends the process instead
	return r
}

// String is the form of the parameter result.
func (r Result) String() string { return base64.RawURLEncoding.EncodeToString(r[:]) }

// parseResult reads what String wrote.
func parseResult(text string) (r Result, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(r) {
		return r, false
	}
	return Result(b), true
}
