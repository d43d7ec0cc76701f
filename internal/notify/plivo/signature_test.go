package plivo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/plivotest"
)

// webhook is a request of Plivo's.
type webhook struct {
	method, path, query, body, contentType string
	header                                 http.Header
}

const (
	goodNonce = "31627761595286130198"
	goodQuery = "id=VE0123456789abcdef0123456789abcdef&attempt=12"
)

// signedRequest is a request with a valid signature of the main account.
func signedRequest(d *plivotest.Double, path, query string, form url.Values) webhook {
	header := http.Header{}
	header.Set(plivotest.Nonce, goodNonce)
	header.Set(plivotest.MainSignature, d.Sign(ourURL+path+"?"+query, form, goodNonce))
	return webhook{http.MethodPost, path, query, form.Encode(), "application/x-www-form-urlencoded", header}
}

func (s webhook) http() *http.Request {
	r := httptest.NewRequest(s.method, "http://127.0.0.1"+s.path, strings.NewReader(s.body))
	r.URL.RawQuery = s.query
	r.Header = s.header.Clone()
	if s.contentType != "" {
		r.Header.Set("Content-Type", s.contentType)
	}
	return r
}

func goodStatus(d *plivotest.Double) (webhook, url.Values) {
	form := url.Values{
		"MessageUUID": {"5b40a428-bfc7-4daf-9d06-726c558bf3b8"}, "ParentMessageUUID": {"5b40a428-bfc7-4daf-9d06-726c558bf3b8"}, "PartInfo": {"1 of 1"},
		"Status": {"delivered"}, "To": {recipient[1:]}, "From": {plivotest.SMSFrom[1:]}, "Type": {"sms"}, "TotalAmount": {"0.0055"},
	}
	return signedRequest(d, StatusPath, goodQuery, form), form
}

// The signatures below were computed by Plivo's own library for Go, plivo-go v7.60.2, with
// the token and nonce of these tests.
func TestSignatureVectors(t *testing.T) {
	id := otp.ID("VE0123456789abcdef0123456789abcdef")
	for want, params := range signatureVectors {
		text := newSignedText(ourURL+StatusPath, id, 12, params, goodNonce).text
		header := http.Header{}
		header.Set(plivotest.Signature, want)
		if !isSigned(header, plivotest.AuthToken, text) {
			t.Errorf("%s is not the signature of %q", want, text)
		}
		form := url.Values{}
		for name, value := range params {
			form.Set(name, value)
		}
		d := plivotest.New(plivotest.Account{})
		if got := d.Sign(ourURL+StatusPath+"?"+goodQuery, form, goodNonce); got != want {
			t.Errorf("the double signs %q as %s", text, got)
		}
		d.Close()
	}
}

var signatureVectors = map[string]map[string]string{
	"vmS/gMox6GhcjcIVo2WTKhEFEF0GEivonsRZuUkXE+8=": {"MessageUUID": "5b40a428-bfc7-4daf-9d06-726c558bf3b8", "Status": "delivered", "To": "14155550123"},
	"1QakKTRuqlEKix7NtKjYbtJmYQs9hNBvhEiJDEWBODE=": {
		"SessionStart": "2026-03-01 12:00:00.238707", "CallStatus": "busy", "From": "12025550143", "SIP-H-To": "<sip:a@192.0.2.1;transport=udp>;tag=1", "Event": "",
	},
	"XccUQ830m+GRhkrjLtHPkmhKmmnh42H7paHSie9IICQ=": {"Text": "é&=+%?\n語", "a": "b.c", "B": "1"},
}

// Attack 11. Each request differs from what Plivo has signed.
func TestAttack11_ForgedReports(t *testing.T) {
	d := plivotest.New(plivotest.Account{})
	defer d.Close()
	other := plivotest.New(plivotest.Account{AuthToken: strings.Repeat("x", 40)})
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
	main := func(values ...string) func(*webhook) {
		return func(r *webhook) {
			r.header.Del(plivotest.MainSignature)
			for _, value := range values {
				r.header.Add(plivotest.MainSignature, value)
			}
		}
	}
	signed := func(address string, f url.Values) func(*webhook) { return main(d.Sign(address, f, goodNonce)) }
	query := func(raw string) func(*webhook) {
		return func(r *webhook) { r.query = raw; signed(ourURL+StatusPath+"?"+raw, form)(r) }
	}
	nonce := func(values ...string) func(*webhook) {
		return func(r *webhook) {
			r.header.Del(plivotest.Nonce)
			for _, value := range values {
				r.header.Add(plivotest.Nonce, value)
			}
			if len(values) > 0 {
				main(d.Sign(ourURL+StatusPath+"?"+goodQuery, form, values[0]))(r)
			}
		}
	}
	address := ourURL + StatusPath + "?" + goodQuery
	signature := d.Sign(address, form, goodNonce)
	v2 := hmac.New(sha256.New, []byte(plivotest.AuthToken))
	_, _ = io.WriteString(v2, ourURL+StatusPath+goodNonce)
	oldSignature := base64.StdEncoding.EncodeToString(v2.Sum(nil))

	for name, change := range map[string]func(*webhook){
		"no signature":            main(),
		"an empty signature":      main(""),
		"a wrong signature":       main(other.Sign(address, form, goodNonce)),
		"a signature cut short":   main(signature[:len(signature)-1]),
		"a signature made longer": main(signature + "="),
		"two headers":             main(signature, signature),
		"a good and a bad header": main(signature, "x"),
		"a long header":           main(signature + strings.Repeat(",x", 1<<10)),
		"another separator":       main(signature + ";" + signature),
		"version 2 only": func(r *webhook) {
			r.header = http.Header{"X-Plivo-Signature-V2": {oldSignature}, "X-Plivo-Signature-Ma-V2": {oldSignature}, "X-Plivo-Signature-V2-Nonce": {goodNonce}}
		},
		"version 2 only, with the nonce of version 3": func(r *webhook) {
			r.header = http.Header{"X-Plivo-Signature-V2": {oldSignature}, nonceHeader: {goodNonce}}
		},
		"version 2 as version 3": main(oldSignature),
		"the signature as its version 2": func(r *webhook) {
			r.header = http.Header{"X-Plivo-Signature-V2": {signature}, nonceHeader: {goodNonce}}
		},

		"no nonce":            nonce(),
		"an empty nonce":      nonce(""),
		"two nonces":          nonce(goodNonce, goodNonce),
		"a nonce with a dot":  nonce("1.2"),
		"a long nonce":        nonce(strings.Repeat("1", 65)),
		"another nonce":       func(r *webhook) { r.header.Set(plivotest.Nonce, "31627761595286130199") },
		"a nonce that grew":   func(r *webhook) { r.header.Set(plivotest.Nonce, goodNonce+"1") },
		"a nonce that shrank": func(r *webhook) { r.header.Set(plivotest.Nonce, goodNonce[1:]) },

		"a changed parameter":      body(set("Status", "read")),
		"an added parameter":       body(set("ErrorCode", "030")),
		"a missing parameter":      body(set("Type", "")),
		"another verification":     func(r *webhook) { r.query = strings.Replace(r.query, "VE0", "VE1", 1) },
		"another attempt":          func(r *webhook) { r.query = strings.Replace(r.query, "12", "13", 1) },
		"no query":                 func(r *webhook) { r.query = ""; signed(ourURL+StatusPath, form)(r) },
		"no id":                    query("attempt=12"),
		"no attempt":               query("id=" + string(verification)),
		"a query in another order": query("attempt=12&id=" + string(verification)),
		"a query in another form":  query(strings.Replace(goodQuery, "VE", "%56E", 1)),
		"an added query parameter": query(goodQuery + "&a=b"),
		"an invalid query":         query(goodQuery + "&x=%zz"),
		"a query key twice":        query(goodQuery + "&attempt=12"),
		"a query in one value":     query("id=" + string(verification) + "%26attempt%3D12"),
		"an invalid id":            query("id=VE1&attempt=2"),
		"an id in capitals":        query(strings.ToUpper("id=VE0123456789abcdef0123456789abcdef") + "&attempt=12"),
		"attempt 0":                query("id=" + string(verification) + "&attempt=0"),
		"attempt -1":               query("id=" + string(verification) + "&attempt=-1"),
		"attempt 01":               query("id=" + string(verification) + "&attempt=01"),
		"attempt 10000":            query("id=" + string(verification) + "&attempt=10000"),

		"a key twice, the good one first": func(r *webhook) { r.body += "&Status=read" },
		"a key twice, the good one last":  func(r *webhook) { r.body = "Status=read&" + r.body },
		"a key twice, the same":           func(r *webhook) { r.body += "&Status=delivered" },
		"a key twice, signed twice": func(r *webhook) {
			f := maps.Clone(form)
			f["Status"] = []string{"delivered", "delivered"}
			body(f)(r)
			signed(address, f)(r)
		},
		"a name without letters": func(r *webhook) { f := set("2", "x"); body(f)(r); signed(address, f)(r) },
		"an invalid body":        func(r *webhook) { r.body += "&%zz=1" },
		"an empty body":          func(r *webhook) { r.body = "" },

		"signed for another host":   signed("https://twofa.example.test"+StatusPath+"?"+goodQuery, form),
		"signed for the local host": signed("http://127.0.0.1"+StatusPath+"?"+goodQuery, form),
		"signed for http":           signed("http://twofa.example"+StatusPath+"?"+goodQuery, form),
		"signed for a port":         signed("https://twofa.example:443"+StatusPath+"?"+goodQuery, form),
		"signed for another path":   signed(ourURL+AnswerPath+"?"+goodQuery, form),
		"signed without the body":   signed(address, nil),
		"signed without the query":  signed(ourURL+StatusPath, form),

		"GET":                   func(r *webhook) { r.method = http.MethodGet },
		"PUT":                   func(r *webhook) { r.method = http.MethodPut },
		"as JSON":               func(r *webhook) { r.contentType = "application/json" },
		"multipart":             func(r *webhook) { r.contentType = "multipart/form-data; boundary=x" },
		"no content type":       func(r *webhook) { r.contentType = "" },
		"a broken content type": func(r *webhook) { r.contentType = "application/x-www-form-urlencoded;;=" },
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			r.header = good.header.Clone()
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
		"unchanged":             func(*webhook) {},
		"another path to us":    func(r *webhook) { r.path = "/HOOKS/Plivo/Status/" },
		"a character set":       func(r *webhook) { r.contentType += "; charset=UTF-8" },
		"several signatures":    main(other.Sign(address, form, goodNonce) + "," + signature),
		"with a space":          main(signature + ", " + other.Sign(address, form, goodNonce)),
		"version 2 beside it":   func(r *webhook) { r.header.Set("X-Plivo-Signature-V2", "x") },
		"by the account itself": func(r *webhook) { main()(r); r.header.Set(plivotest.Signature, signature) },
		"by both accounts, one of which is not ours": func(r *webhook) {
			r.header.Set(plivotest.Signature, other.Sign(address, form, goodNonce))
		},
		"parameters in another order": func(r *webhook) {
			p := strings.Split(r.body, "&")
			r.body = p[1] + "&" + p[0] + "&" + strings.Join(p[2:], "&")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			r.header = good.header.Clone()
			change(&r)
			got, err := hooks.Report(r.http())
			if want := (notify.Report{Verification: verification, Attempt: 12, Provider: Name, Status: otp.Delivered}); err != nil || got != want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// Host and the forwarding headers are ignored.
func TestHostIsIgnored(t *testing.T) {
	d := plivotest.New(plivotest.Account{})
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
		r = good.http()
		r.Host = "evil.test"
		r.Header.Set("X-Forwarded-Host", "evil.test")
		r.Header.Set(plivotest.MainSignature, d.Sign("https://evil.test"+StatusPath+"?"+goodQuery, form, goodNonce))
		if _, err := hooks.Report(r); err != notify.ErrForged {
			t.Errorf("signed for its own Host: %v", err)
		}
	}
}

// Attack 29. A body over the limit is refused as such, signed or not, however long it is,
// and is not read to its end. A body at the limit is read.
func TestAttack29_LargeBodiesOfWebhooks(t *testing.T) {
	d := plivotest.New(plivotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	good, form := goodStatus(d)
	for size, tooLarge := range map[int]bool{gateway.MaxWebhook: false, gateway.MaxWebhook + 1: true, 1 << 20: true} {
		f := maps.Clone(form)
		f.Set("Padding", strings.Repeat("x", size-len(good.body)-len("&Padding=")))
		for _, isSigned := range []bool{true, false} {
			request := signedRequest(d, StatusPath, goodQuery, f)
			if !isSigned {
				request.header = good.header
			}
			for _, length := range []int64{int64(size), -1} { // -1: not known before the body ends
				body := strings.NewReader(request.body)
				r := request.http()
				r.Body, r.ContentLength = io.NopCloser(body), length
				_, err := hooks.Report(r)
				switch {
				case tooLarge != problem.Is(err, problem.PayloadTooLarge):
					t.Errorf("%d bytes: %v", size, err)
				case !tooLarge && isSigned != (err == nil):
					t.Errorf("%d bytes, signed %t: %v", size, isSigned, err)
				}
				if read := size - body.Len(); read > gateway.MaxWebhook+1 {
					t.Errorf("%d bytes were read", read)
				}
			}
		}
	}
}
