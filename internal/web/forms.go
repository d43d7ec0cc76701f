package web

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// policy is the Content-Security-Policy of all pages. The icon is an empty data: address, so
// that browsers ask for none. It ends with form-action, to which Headers adds: browsers hold the
// redirects of a form to it too. Without more, an app is reached by a link or a refresh alone.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// permissions allows what the script uses, and nothing else that browsers know.
const permissions = "otp-credentials=(self), accelerometer=(), autoplay=(), browsing-topics=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), identity-credentials-get=(), idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), publickey-credentials-create=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), storage-access=(), usb=(), window-management=(), xr-spatial-tracking=()"

// Answer is what a browser gets.
type Answer struct {
	Status  int
	Header  map[string]string
	Cookies []*http.Cookie
	Body    []byte
	// Problem is why the person did not get what they asked for, for the log. nil: they did.
	Problem error
}

// formSource is a source of form-action (CSP 3, 2.3.1): a scheme, or an origin. It has nothing
// that ends the source or the directive.
var formSource = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:(//[A-Za-z0-9.-]+(:[0-9]+)?)?$`)

// Headers returns the headers of a page. The map is the caller's.
//
// formActions are where the redirects of its forms may lead, beside this service: origins like
// https://app.example, or schemes like com.example.app:. Others are left out, "" among them.
func Headers(formActions ...string) map[string]string {
	csp := policy
	for _, source := range formActions {
		if formSource.MatchString(source) {
			csp += " " + source
		}
	}
	return map[string]string{
		"Content-Type":               "text/html; charset=utf-8",
		"Content-Security-Policy":    csp,
		"Cache-Control":              "no-store",
		"Referrer-Policy":            "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin",
		"X-Frame-Options":            "DENY",
		"Permissions-Policy":         permissions,
		"X-Content-Type-Options":     "nosniff",
		"Vary":                       "Accept-Language",
	}
}

// maxForm is the greatest length of a form in bytes.
const maxForm = 16 << 10

// The errors of ParseForm. They quote nothing of the form.
var (
	ErrFormType = errors.New("web: not a form")
	ErrFormRead = errors.New("web: the form cannot be read, or is too long")
)

// ParseForm returns the form in the body of a request, of at most 16 KiB. Parameters of the query do not count.
func ParseForm(r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, ErrFormType
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); err != nil { // its text may quote the form
		return nil, ErrFormRead
	}
	return r.PostForm, nil
}

// ErrCrossSite is the error of a form that another site sent.
var ErrCrossSite = errors.New("web: the form comes from another site")

// SameOrigin returns a function that refuses a POST which a browser sends for a page of
// another site. Behind the Functions host the Host header is not the public one, so the
// origin of publicURL is what counts. (http.CrossOriginProtection trusts the Host header, and
// requests without Sec-Fetch-Site and Origin, which no browser sends.)
//
// Browsers without Sec-Fetch-Site, from before 2023, are refused: the pages have no Referer,
// and so their Origin is "null", as that of a page in a sandbox is.
func SameOrigin(publicURL string) func(*http.Request) error {
	own, err := url.Parse(publicURL)
	known := err == nil && own.Host != ""
	return func(r *http.Request) error {
		site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
		from, err := url.Parse(origin)
		isOwn := known && err == nil && from.Scheme == own.Scheme && strings.EqualFold(from.Host, own.Host)
		switch {
		case isOwn && (site == "" || site == "same-origin"):
			return nil
		case site == "same-origin" && (origin == "" || origin == "null"):
			return nil
		}
		return ErrCrossSite // also with "none": a form is never the first thing that a person does
	}
}

// Cookies makes and reads the cookies of the pages.
type Cookies struct {
	// Plain is true for a service on http, which only loopback has: such cookies are not
	// secure, and have no prefix.
	Plain bool
}

func (c Cookies) name(name string) string {
	if c.Plain {
		return "twofa-" + name
	}
	return "__Host-twofa-" + name
}

// New returns a cookie that no script and no other site reads.
func (c Cookies) New(name, value string, keep time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: c.name(name), Value: value, Path: "/", MaxAge: int(keep / time.Second),
		Secure: !c.Plain, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// Value returns the value of a cookie, "" if the request has none, or several.
func (c Cookies) Value(r *http.Request, name string) string {
	found := r.CookiesNamed(c.name(name))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}
