package twilio

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/twiliotest"
)

// webhook is a request of Twilio's.
type webhook struct {
	method, path, query, body, contentType string
	signatures                             []string
}

// signedRequest is a request with a valid signature.
func signedRequest(d *twiliotest.Double, path, query string, form url.Values) webhook {
	address := ourURL + path
	if query != "" {
		address += "?" + query
	}
	return webhook{http.MethodPost, path, query, form.Encode(), "application/x-www-form-urlencoded", []string{d.Sign(address, form)}}
}

func (s webhook) http() *http.Request {
	r := httptest.NewRequest(s.method, "http://127.0.0.1"+s.path, strings.NewReader(s.body))
	r.URL.RawQuery = s.query
	if s.contentType != "" {
		r.Header.Set("Content-Type", s.contentType)
	}
	for _, signature := range s.signatures {
		r.Header.Add("X-Twilio-Signature", signature)
	}
	return r
}

const goodQuery = "id=VE0123456789abcdef0123456789abcdef&attempt=12"

func goodStatus(d *twiliotest.Double) (webhook, url.Values) {
	form := url.Values{
		"AccountSid": {twiliotest.AccountSID}, "ApiVersion": {"2010-04-01"}, "MessageSid": {"SM1"}, "MessageStatus": {"delivered"},
		"To": {recipient}, "From": {twiliotest.SMSFrom},
	}
	return signedRequest(d, StatusPath, goodQuery, form), form
}

// Attacks on the signature: each request differs from what Twilio has signed.
func TestForgedReports(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	other := twiliotest.New(twiliotest.Account{AuthToken: twiliotest.APISecret})
	defer other.Close()
	hooks := webhooks(t)
	good, form := goodStatus(d)
	set := func(name, value string) url.Values {
		f := maps.Clone(form)
		if f.Set(name, value); value == "" {
			f.Del(name)
		}
		return f
	}
	body := func(f url.Values) func(*webhook) { return func(r *webhook) { r.body = f.Encode() } }
	signed := func(address string, f url.Values) func(*webhook) {
		return func(r *webhook) { r.signatures = []string{d.Sign(address, f)} }
	}
	signature := good.signatures[0]
	longQuery := goodQuery + "&x=" + strings.Repeat("x", 1<<10)
	// both changes the body and signs it.
	both := func(f url.Values) func(*webhook) {
		return func(r *webhook) { body(f)(r); signed(ourURL+StatusPath+"?"+goodQuery, f)(r) }
	}

	for name, change := range map[string]func(*webhook){
		"no signature":            func(r *webhook) { r.signatures = nil },
		"an empty signature":      func(r *webhook) { r.signatures = []string{""} },
		"a wrong signature":       func(r *webhook) { r.signatures = []string{other.Sign(ourURL+StatusPath+"?"+goodQuery, form)} },
		"a signature of nothing":  signed("", nil),
		"a signature cut short":   func(r *webhook) { r.signatures = []string{signature[:len(signature)-1]} },
		"a signature made longer": func(r *webhook) { r.signatures = []string{signature + "="} },
		"two signatures":          func(r *webhook) { r.signatures = []string{signature, signature} },
		"a good and a bad one":    func(r *webhook) { r.signatures = []string{signature, "x"} },
		"two in one header":       func(r *webhook) { r.signatures = []string{signature + "," + signature} },

		"a changed parameter":       body(set("MessageStatus", "read")),
		"an added parameter":        body(set("ErrorCode", "30450")),
		"a missing parameter":       body(set("AccountSid", "")),
		"another verification":      func(r *webhook) { r.query = strings.Replace(r.query, "VE0", "VE1", 1) },
		"another attempt":           func(r *webhook) { r.query = strings.Replace(r.query, "12", "13", 1) },
		"no query":                  func(r *webhook) { r.query = "" },
		"a query in another order":  func(r *webhook) { r.query = "attempt=12&id=VE0123456789abcdef0123456789abcdef" },
		"a query in another form":   func(r *webhook) { r.query = strings.Replace(r.query, "VE", "%56E", 1) },
		"an added query parameter":  func(r *webhook) { r.query += "&a=b" },
		"an invalid query":          func(r *webhook) { r.query += "&x=%zz"; signed(ourURL+StatusPath+"?"+r.query, form)(r) },
		"a digit moved to the body": func(r *webhook) { r.query = goodQuery[:len(goodQuery)-1]; r.body = "2" + r.body },

		"a key twice, the good one first": func(r *webhook) { r.body += "&MessageStatus=read" },
		"a key twice, the good one last":  func(r *webhook) { r.body = "MessageStatus=read&" + r.body },
		"a key twice, the same":           func(r *webhook) { r.body += "&MessageStatus=delivered" },
		"a query key twice": func(r *webhook) {
			r.query += "&attempt=13"
			signed(ourURL+StatusPath+"?"+r.query, form)(r)
		},
		"a query key in the body": both(set("attempt", "13")),
		"a name without letters":  both(set("2", "x")),
		"an invalid body":         func(r *webhook) { r.body += "&%zz=1" },

		"signed for another host":   signed("https://twofa.example.test"+StatusPath+"?"+goodQuery, form),
		"signed for the local host": signed("http://127.0.0.1"+StatusPath+"?"+goodQuery, form),
		"signed for http":           signed("http://twofa.example"+StatusPath+"?"+goodQuery, form),
		"signed for another path":   signed(ourURL+InboundPath+"?"+goodQuery, form),
		"signed for the body alone": signed("", form),
		"signed without the body":   signed(ourURL+StatusPath+"?"+goodQuery, nil),
		"signed without the query":  signed(ourURL+StatusPath, form),
		// The library would accept such a hash in the query as a signature of the body.
		"signed by a hash of the body": func(r *webhook) {
			r.query += fmt.Sprintf("&bodySHA256=%x", sha256.Sum256([]byte(r.body)))
			signed(ourURL+StatusPath+"?"+r.query, nil)(r)
		},

		"GET":                   func(r *webhook) { r.method = http.MethodGet },
		"PUT":                   func(r *webhook) { r.method = http.MethodPut },
		"JSON":                  func(r *webhook) { r.contentType = "application/json"; r.body = `{"MessageStatus":"delivered"}` },
		"as JSON":               func(r *webhook) { r.contentType = "application/json" },
		"multipart":             func(r *webhook) { r.contentType = "multipart/form-data; boundary=x" },
		"no content type":       func(r *webhook) { r.contentType = "" },
		"a broken content type": func(r *webhook) { r.contentType = "application/x-www-form-urlencoded;;=" },
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			change(&r)
			got, err := hooks.Report(r.http())
			if err != notify.ErrForged || got != (notify.Report{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}

	// The same request is accepted without an attack. Otherwise the attacks would show
	// nothing.
	for name, change := range map[string]func(*webhook){
		"unchanged":               func(*webhook) {},
		"another path to us":      func(r *webhook) { r.path = "/HOOKS/Twilio/Status/" },
		"a port that Twilio adds": signed(ourURL+":443"+StatusPath+"?"+goodQuery, form),
		"a character set":         func(r *webhook) { r.contentType += "; charset=UTF-8" },
		"a longer query":          func(r *webhook) { r.query = longQuery; signed(ourURL+StatusPath+"?"+longQuery, form)(r) },
		"parameters in another order": func(r *webhook) {
			p := strings.Split(r.body, "&")
			r.body = p[1] + "&" + p[0] + "&" + strings.Join(p[2:], "&")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			change(&r)
			got, err := hooks.Report(r.http())
			if want := (notify.Report{Verification: verification, Attempt: 12, Provider: "twilio", Status: otp.Delivered}); err != nil || got != want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// Attack 29. A body over the limit is refused as such, signed or not, however long
// it is, and is not read to its end. A body at the limit is read.
func TestAttack29_LargeBodiesOfWebhooks(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	good, form := goodStatus(d)
	const limit = 16 << 10
	for name, c := range map[string]struct {
		size             int
		signed, tooLarge bool
	}{
		"twice the limit":              {2 * limit, true, true},
		"at the limit":                 {limit, true, false},
		"one byte more":                {limit + 1, true, true},
		"one byte more, not signed":    {limit + 1, false, true},
		"1 MiB":                        {1 << 20, true, true},
		"1 MiB, not signed":            {1 << 20, false, true},
		"twice the limit, not signed":  {2 * limit, false, true},
		"at the limit, but not signed": {limit, false, false},
	} {
		f := maps.Clone(form)
		f.Set("Padding", strings.Repeat("x", c.size-len(good.body)-len("&Padding=")))
		for path, call := range map[string]func(*http.Request) error{
			StatusPath:  func(r *http.Request) error { _, err := hooks.Report(r); return err },
			InboundPath: func(r *http.Request) error { _, err := hooks.Inbound(r); return err },
		} {
			request := signedRequest(d, path, goodQuery, f)
			if !c.signed {
				request.signatures = good.signatures
			}
			for _, length := range []int64{int64(len(request.body)), -1} { // -1: not known before the body ends
				body := strings.NewReader(request.body)
				r := request.http()
				r.Body, r.ContentLength = io.NopCloser(body), length
				err := call(r)
				if got := problem.Is(err, problem.PayloadTooLarge); got != c.tooLarge {
					t.Errorf("%s, %s: %v", path, name, err)
				}
				if !c.signed && !c.tooLarge && err != notify.ErrForged {
					t.Errorf("%s, %s: %v", path, name, err)
				}
				if c.signed && !c.tooLarge && path == StatusPath && err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if read := c.size - body.Len(); read > limit+1 {
					t.Errorf("%s, %s: %d bytes were read", path, name, read)
				}
			}
		}
	}
}

// Host and the forwarding headers are ignored.
func TestHostIsIgnored(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	good, form := goodStatus(d)
	for _, host := range []string{"twofa.example", "evil.test", ""} {
		r := good.http()
		r.Host, r.URL.Host = host, host
		r.Header.Set("X-Forwarded-Host", host)
		if _, err := hooks.Report(r); err != nil {
			t.Errorf("from %q: %v", host, err)
		}
		evil := good
		evil.signatures = []string{d.Sign("https://evil.test"+StatusPath+"?"+goodQuery, form)}
		r = evil.http()
		r.Host = "evil.test"
		r.Header.Set("X-Forwarded-Host", "evil.test")
		if _, err := hooks.Report(r); err != notify.ErrForged {
			t.Errorf("signed for its own Host: %v", err)
		}
	}
}
