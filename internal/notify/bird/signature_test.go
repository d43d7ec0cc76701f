package bird

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/plivotest"
	"twofa/internal/testing/twiliotest"
)

// webhook is a request of Bird's.
type webhook struct {
	method, path, query, body, contentType string
	header                                 http.Header
}

const (
	goodID   = "msg_3FdaB1NkOmM6m8AxhgEYTJgqHU3"
	goodBody = `{"type":"sms.delivered","timestamp":"2026-03-01T12:00:00Z","data":{"sms_id":"sms_1","metadata":{"twofa_verification":"VE0123456789abcdef0123456789abcdef","twofa_attempt":"12"}}}`
)

// goodTime is the timestamp of a request at Noon.
var goodTime = strconv.FormatInt(fixture.Noon.Unix(), 10)

var goodReport = notify.Report{Verification: verification, Attempt: 12, Provider: "bird", Status: otp.Delivered}

// atNoon are Webhooks at Noon.
func atNoon(tb testing.TB) *Webhooks {
	tb.Helper()
	w, err := NewWebhooks(options())
	if err != nil {
		tb.Fatal(err)
	}
	w.now = func() time.Time { return fixture.Noon }
	return w
}

// signedRequest is a request with a valid signature.
func signedRequest(d *birdtest.Double, id, timestamp, body string) webhook {
	header := http.Header{}
	header.Set(birdtest.IDHeader, id)
	header.Set(birdtest.TimestampHeader, timestamp)
	header.Set(birdtest.SignatureHeader, d.Sign(id, timestamp, []byte(body)))
	return webhook{http.MethodPost, StatusPath, "", body, "application/json", header}
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

func newDouble(tb testing.TB, secret string) *birdtest.Double {
	d := birdtest.New(birdtest.Account{WebhookSecret: secret})
	tb.Cleanup(d.Close)
	return d
}

// The first signature is the example of the Standard Webhooks specification. The second was
// computed by Python's hmac.
func TestSignatureVectors(t *testing.T) {
	for _, tc := range []struct{ secret, id, timestamp, body, want string }{
		{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		{birdtest.WebhookSecret, "msg_1", "1772366400", `{"type":"sms.delivered","data":{"text":"é語"}}`, "v1,1pL3mFx9s6QxKa9Zm/V6Np0VQgDhX9VYDS591o//M3w="},
	} {
		key, ok := readSecret(tc.secret)
		seconds, _ := strconv.ParseInt(tc.timestamp, 10, 64)
		header := http.Header{idHeader: {tc.id}, timestampHeader: {tc.timestamp}, signatureHeader: {tc.want}}
		if !ok || !isSigned(header, []byte(tc.body), string(key), time.Unix(seconds, 0)) {
			t.Errorf("%s is not the signature of %s", tc.want, tc.body)
		}
		if got := newDouble(t, tc.secret).Sign(tc.id, tc.timestamp, []byte(tc.body)); got != tc.want {
			t.Errorf("the double signs %s as %s", tc.body, got)
		}
	}
}

// Attack 11. Each request differs from what Bird has signed.
func TestAttack11_ForgedReports(t *testing.T) {
	d, other := newDouble(t, ""), newDouble(t, "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	hooks := atNoon(t)
	good := signedRequest(d, goodID, goodTime, goodBody)
	set := func(name string, values ...string) func(*webhook) {
		return func(r *webhook) {
			r.header.Del(name)
			for _, value := range values {
				r.header.Add(name, value)
			}
		}
	}
	signature := d.Sign(goodID, goodTime, []byte(goodBody))
	plain := strings.TrimPrefix(signature, "v1,")
	raw, _ := base64.StdEncoding.DecodeString(plain)
	signatures := func(values ...string) func(*webhook) { return set(birdtest.SignatureHeader, values...) }
	// signed has the right signature for an id and a timestamp.
	signed := func(id, timestamp string) func(*webhook) {
		return func(r *webhook) { r.header = signedRequest(d, id, timestamp, r.body).header }
	}
	at := func(distance time.Duration) func(*webhook) {
		return signed(goodID, strconv.FormatInt(fixture.Noon.Add(distance).Unix(), 10))
	}
	byText := hmac.New(sha256.New, []byte(birdtest.WebhookSecret)) // the secret as it is, not its bytes
	_, _ = io.WriteString(byText, goodID+"."+goodTime+"."+goodBody)

	for name, change := range map[string]func(*webhook){
		"no signature":              signatures(),
		"an empty signature":        signatures(""),
		"a wrong signature":         signatures(other.Sign(goodID, goodTime, []byte(goodBody))),
		"a signature cut short":     signatures(signature[:len(signature)-1]),
		"a signature made longer":   signatures(signature + "="),
		"in other letters":          signatures(strings.ToLower(signature)),
		"in hexadecimal":            signatures("v1," + hex.EncodeToString(raw)),
		"in URL base64":             signatures("v1," + base64.URLEncoding.EncodeToString(raw) + "-"),
		"without its version":       signatures(plain),
		"of version 1a":             signatures("v1a," + plain),
		"of version 2":              signatures("v2," + plain),
		"of a version in capitals":  signatures("V1," + plain),
		"with a space in it":        signatures("v1, " + plain),
		"two headers":               signatures(signature, signature),
		"a good and a bad header":   signatures(signature, "v1,x"),
		"another separator":         signatures("v1,x," + signature + ";" + signature),
		"a tab between signatures":  signatures("v1,x\t" + signature),
		"a long header":             signatures(signature + strings.Repeat(" v1,x", 300)),
		"signed by the secret text": signatures("v1," + base64.StdEncoding.EncodeToString(byText.Sum(nil))),
		"in the header of Svix": func(r *webhook) {
			r.header = http.Header{"Svix-Id": {goodID}, "Svix-Timestamp": {goodTime}, "Svix-Signature": {signature}}
		},

		"no id":                 set(birdtest.IDHeader),
		"an empty id":           signed("", goodTime),
		"two ids":               set(birdtest.IDHeader, goodID, goodID),
		"another id":            set(birdtest.IDHeader, goodID+"1"),
		"an id with a dot":      signed("msg.1", goodTime),
		"an id with a space":    signed("msg 1", goodTime),
		"an id with a line end": signed("msg\n1", goodTime),
		"a long id":             signed(strings.Repeat("1", 129), goodTime),

		"no timestamp":               set(birdtest.TimestampHeader),
		"an empty timestamp":         signed(goodID, ""),
		"two timestamps":             set(birdtest.TimestampHeader, goodTime, goodTime),
		"another timestamp":          set(birdtest.TimestampHeader, strconv.FormatInt(fixture.Noon.Unix()+1, 10)),
		"a timestamp with a plus":    signed(goodID, "+"+goodTime),
		"a timestamp with a zero":    signed(goodID, "0"+goodTime),
		"a timestamp with a space":   signed(goodID, " "+goodTime),
		"a timestamp with a point":   signed(goodID, goodTime+".0"),
		"a timestamp of other signs": signed(goodID, "١٧٧٢٣٦٦٤٠٠"),
		"a timestamp in hexadecimal": signed(goodID, "0x69a42bc0"),
		"in milliseconds":            signed(goodID, goodTime+"000"),
		"a huge timestamp":           signed(goodID, "9223372036854775807"),
		"a timestamp below zero":     signed(goodID, "-9223372036854775808"),
		"a timestamp too long":       signed(goodID, "99999999999999999999999"),
		"older than five minutes":    at(-5*time.Minute - time.Second),
		"newer than five minutes":    at(5*time.Minute + time.Second),
		"of yesterday":               at(-24 * time.Hour),

		"a changed status":       func(r *webhook) { r.body = strings.Replace(r.body, "delivered", "read", 1) },
		"another verification":   func(r *webhook) { r.body = strings.Replace(r.body, "VE0", "VE1", 1) },
		"another attempt":        func(r *webhook) { r.body = strings.Replace(r.body, `"12"`, `"13"`, 1) },
		"an added space":         func(r *webhook) { r.body += " " },
		"a space before":         func(r *webhook) { r.body = " " + r.body },
		"an added field":         func(r *webhook) { r.body = strings.Replace(r.body, "{", `{"x":1,`, 1) },
		"an added object":        func(r *webhook) { r.body += "{}" },
		"an empty body":          func(r *webhook) { r.body = "" },
		"the same JSON, shorter": func(r *webhook) { r.body = strings.Replace(r.body, `"timestamp":"2026-03-01T12:00:00Z",`, "", 1) },

		"GET":                   func(r *webhook) { r.method = http.MethodGet },
		"PUT":                   func(r *webhook) { r.method = http.MethodPut },
		"a query":               func(r *webhook) { r.query = "id=VE0123456789abcdef0123456789abcdef&attempt=12" },
		"as a form":             func(r *webhook) { r.contentType = "application/x-www-form-urlencoded" },
		"as text":               func(r *webhook) { r.contentType = "text/plain" },
		"no content type":       func(r *webhook) { r.contentType = "" },
		"a broken content type": func(r *webhook) { r.contentType = "application/json;;=" },
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
		"another path to us":    func(r *webhook) { r.path = "/HOOKS/Bird/Status/" },
		"a character set":       func(r *webhook) { r.contentType += "; charset=utf-8" },
		"several signatures":    signatures(other.Sign(goodID, goodTime, []byte(goodBody)) + " " + signature),
		"the good one first":    signatures(signature + " " + other.Sign(goodID, goodTime, []byte(goodBody))),
		"another version, too":  signatures("v1a,x " + signature + " v2,y"),
		"other headers":         func(r *webhook) { r.header.Set("Svix-Id", "x"); r.header.Set("X-Forwarded-Host", "evil.test") },
		"five minutes old":      at(-5 * time.Minute),
		"five minutes too new":  at(5 * time.Minute),
		"an id of another form": signed("evt-01KRDGEQCXET5S7T44VH8RT9MG", goodTime),
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			r.header = good.header.Clone()
			change(&r)
			if got, err := hooks.Report(r.http()); err != nil || got != goodReport {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// Bird signs no host and no path, because a webhook has a secret of its own. What a client
// says of the host changes nothing.
func TestHostIsIgnored(t *testing.T) {
	hooks := atNoon(t)
	good := signedRequest(newDouble(t, ""), goodID, goodTime, goodBody)
	for _, host := range []string{"twofa.example", "evil.test", ""} {
		r := good.http()
		r.Host, r.URL.Host = host, host
		r.Header.Set("X-Forwarded-Host", host)
		if got, err := hooks.Report(r); err != nil || got != goodReport {
			t.Errorf("from %q: %+v, %v", host, got, err)
		}
	}
}

// Attack 11. The same report, ten times within its five minutes, is the same report each
// time. That it then has one effect is tested where reports are stored.
func TestAttack11_TheSameReportTenTimes(t *testing.T) {
	hooks := atNoon(t)
	good := signedRequest(newDouble(t, ""), goodID, goodTime, goodBody)
	for range 10 {
		if got, err := hooks.Report(good.http()); err != nil || got != goodReport {
			t.Errorf("%+v, %v", got, err)
		}
	}
	hooks.now = func() time.Time { return fixture.Noon.Add(5*time.Minute + time.Nanosecond) }
	if _, err := hooks.Report(good.http()); err != notify.ErrForged {
		t.Errorf("later: %v", err)
	}
}

// Attack 23. Whoever has a signed request can cut its bytes at other dots. No cut has another
// meaning.
func TestAttack23_EveryCutOfAReport(t *testing.T) {
	d, hooks := newDouble(t, ""), atNoon(t)
	// The body has dots, a number of seconds and what looks like an object.
	body := `{"type":"sms.delivered","data":{"x":"1.` + goodTime + `.{\"type\":\"sms.read\"}","y":1.5,"metadata":{"twofa_verification":"VE0123456789abcdef0123456789abcdef","twofa_attempt":"12"}}}`
	signed := goodID + "." + goodTime + "." + body
	signature := d.Sign(goodID, goodTime, []byte(body))
	tried, accepted := 0, 0
	for i := range len(signed) {
		for j := i + 1; j < len(signed); j++ {
			if signed[i] != '.' || signed[j] != '.' {
				continue
			}
			tried++
			r := webhook{http.MethodPost, StatusPath, "", signed[j+1:], "application/json",
				http.Header{idHeader: {signed[:i]}, timestampHeader: {signed[i+1 : j]}, signatureHeader: {signature}}}
			got, err := hooks.Report(r.http())
			if err == nil {
				accepted++
				if got != goodReport {
					t.Errorf("cut at %d and %d, it means %+v", i, j, got)
				}
			}
		}
	}
	if tried < 10 || accepted != 1 {
		t.Errorf("%d cuts, %d accepted", tried, accepted)
	}
}

// Attack 23. Signed JSON that could be read in two ways is refused.
func TestAttack23_AmbiguousReports(t *testing.T) {
	d, hooks := newDouble(t, ""), atNoon(t)
	const id, attempt = `"twofa_verification":"VE0123456789abcdef0123456789abcdef"`, `"twofa_attempt":"12"`
	metadata := `"metadata":{` + id + `,` + attempt + `}`
	for name, tc := range map[string]struct {
		body string
		want error
	}{
		"as it is":                 {`{"type":"sms.delivered","data":{` + metadata + `}}`, nil},
		"with unknown fields":      {`{"type":"sms.delivered","new":[{}],"data":{"status":"failed",` + metadata + `,"x":{"type":"sms.read"}}}`, nil},
		"names in capitals":        {`{"type":"sms.delivered","Type":"sms.read","data":{` + metadata + `,"Metadata":{}}}`, nil},
		"two types":                {`{"type":"sms.delivered","type":"sms.delivered","data":{` + metadata + `}}`, notify.ErrMalformed},
		"two data":                 {`{"type":"sms.delivered","data":{},"data":{` + metadata + `}}`, notify.ErrMalformed},
		"two metadata":             {`{"type":"sms.delivered","data":{` + metadata + `,` + metadata + `}}`, notify.ErrMalformed},
		"two verifications":        {`{"type":"sms.delivered","data":{"metadata":{` + id + `,` + attempt + `,` + id + `}}}`, notify.ErrMalformed},
		"a name written otherwise": {`{"type":"sms.delivered","data":{` + metadata + `,"m\u0065tadata":null}}`, notify.ErrMalformed},
		"two unknown fields":       {`{"type":"sms.delivered","data":{` + metadata + `,"x":{"y":1,"y":2}}}`, notify.ErrMalformed},
		"two errors":               {`{"type":"sms.failed","data":{` + metadata + `,"error":{"code":"unknown","code":"unreachable"}}}`, notify.ErrMalformed},
		"a second object":          {`{"type":"sms.delivered","data":{` + metadata + `}}{}`, notify.ErrMalformed},
		"text behind it":           {`{"type":"sms.delivered","data":{` + metadata + `}} x`, notify.ErrMalformed},
		"a comma at the end":       {`{"type":"sms.delivered","data":{` + metadata + `},}`, notify.ErrMalformed},
		"a byte order mark":        {"\ufeff" + `{"type":"sms.delivered","data":{` + metadata + `}}`, notify.ErrMalformed},
		"invalid UTF-8":            {`{"type":"sms.delivered","data":{` + metadata + `,"x":"` + "\xff" + `"}}`, notify.ErrMalformed},
		"half a surrogate":         {`{"type":"sms.delivered","data":{` + metadata + `,"x":"\ud800"}}`, notify.ErrMalformed},
		"a comment":                {`{"type":"sms.delivered",/**/"data":{` + metadata + `}}`, notify.ErrMalformed},
		"a list":                   {`[{"type":"sms.delivered","data":{` + metadata + `}}]`, notify.ErrMalformed},
		"null":                     {`null`, notify.ErrMalformed},
		"not JSON":                 {`type=sms.delivered`, notify.ErrMalformed},
		"cut":                      {`{"type":"sms.delivered","data":{` + metadata, notify.ErrMalformed},
		"empty":                    {``, notify.ErrMalformed},
		"deeply nested":            {`{"type":"sms.delivered","data":` + strings.Repeat(`{"a":[`, 2500), notify.ErrMalformed},
	} {
		got, err := hooks.Report(signedRequest(d, goodID, goodTime, tc.body).http())
		if err != tc.want || err == nil && got != goodReport || err != nil && got != (notify.Report{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Attack 37. A report of another provider, with its own signature and even with Bird's
// headers beside it, is no report of Bird's. Bird's reports say that they are Bird's, so that
// they count for Bird's attempts only.
func TestAttack37_ReportsOfOtherProviders(t *testing.T) {
	hooks := atNoon(t)
	double := newDouble(t, "")
	form := "MessageUUID=5b40a428-bfc7-4daf-9d06-726c558bf3b8&Status=delivered"
	for name, header := range map[string]http.Header{
		"Plivo's":  {"X-Plivo-Signature-V3": {"x"}, "X-Plivo-Signature-V3-Nonce": {"1"}},
		"Twilio's": {"X-Twilio-Signature": {"x"}},
	} {
		r := webhook{http.MethodPost, StatusPath, "id=VE0123456789abcdef0123456789abcdef&attempt=12", form, "application/x-www-form-urlencoded", header}
		if got, err := hooks.Report(r.http()); err != notify.ErrForged || got != (notify.Report{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// A secret of another provider's signs nothing for Bird.
	for _, token := range []string{plivotest.AuthToken, twiliotest.AuthToken} {
		h := hmac.New(sha256.New, []byte(token))
		_, _ = io.WriteString(h, goodID+"."+goodTime+"."+goodBody)
		r := signedRequest(double, goodID, goodTime, goodBody)
		r.header.Set(birdtest.SignatureHeader, "v1,"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
		if _, err := hooks.Report(r.http()); err != notify.ErrForged {
			t.Errorf("signed with another token: %v", err)
		}
	}
	if got, err := hooks.Report(signedRequest(double, goodID, goodTime, goodBody).http()); err != nil || got.Provider != "bird" {
		t.Errorf("%+v, %v", got, err)
	}
}

// Attack 29. A body over the limit is refused as such, signed or not, however long it is, and
// is not read to its end. A body at the limit is read.
func TestAttack29_LargeBodiesOfWebhooks(t *testing.T) {
	d, hooks := newDouble(t, ""), atNoon(t)
	good := signedRequest(d, goodID, goodTime, goodBody)
	for size, tooLarge := range map[int]bool{gateway.MaxWebhook: false, gateway.MaxWebhook + 1: true, 1 << 20: true} {
		body := strings.Replace(goodBody, "{", `{"x":"`+strings.Repeat("x", size-len(goodBody)-len(`"x":"",`))+`",`, 1)
		for _, isSigned := range []bool{true, false} {
			request := signedRequest(d, goodID, goodTime, body)
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
