package plivo

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/plivotest"
)

// cuts yields all forms with at most three parameters whose signed body is text, except
// for cuts inside of the UUID.
func cuts(text, uuid string, yield func(url.Values)) {
	var places []int
	begin := strings.Index(text, uuid)
	for i := range len(text) + 1 {
		if i <= begin || i >= begin+len(uuid) {
			places = append(places, i)
		}
	}
	var cut func(from int, last string, form url.Values)
	cut = func(from int, last string, form url.Values) {
		if from == len(text) {
			yield(form)
			return
		}
		for _, border := range places {
			name := ""
			if border > from {
				name = text[from:border]
			}
			if name <= last || !isToken(name[:1]) || name[0] <= '9' {
				continue // sorted, each once; other names are refused, see TestAttack11_ForgedReports
			}
			for _, end := range places {
				if end < border || len(form) == 2 && end < len(text) {
					continue // the last parameter has to take all that is left
				}
				f := maps.Clone(form)
				f.Set(name, text[border:end])
				cut(end, name, f)
			}
		}
	}
	cut(0, "", url.Values{})
}

// Attack 23. Whoever has a signed request can cut it into other parameters. No cut has
// another meaning than the request that Plivo has signed.
func TestAttack23_EveryCutOfAReport(t *testing.T) {
	const message, call = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", "1f2e3d4c-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
	d := plivotest.New(plivotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	for name, genuine := range map[string]url.Values{
		"failed": {"ErrorCode": {"030"}, "MessageUUID": {message}, "Status": {"failed"}},
		"read":   {"MessageUUID": {message}, "Status": {"read"}, "Units": {"1"}},
		"a part": {"MessageUUID": {message}, "PartInfo": {"1 of 2"}, "Status": {"sent"}},
	} {
		want, err := hooks.Report(signedRequest(d, StatusPath, goodQuery, genuine).http())
		if err != nil {
			t.Fatal(name, err)
		}
		params, _ := gateway.SignedParams(genuine)
		text := newSignedText("", verification, 1, params, "").body.Text
		tried, accepted := 0, 0
		id, attempt, _ := readQuery(goodQuery)
		cuts(text, message, func(form url.Values) {
			// The signature is right for every cut, so that the test leaves out the HMAC.
			tried++
			p, ok := gateway.SignedParams(form)
			if !ok {
				return
			}
			got, err := hooks.messageReport(received{id, attempt, form, newSignedText(ourURL+StatusPath, id, attempt, p, goodNonce)})
			if err != nil {
				return
			}
			accepted++
			if !sameReport(got, want) {
				t.Errorf("%s: cut as %v, it means %+v instead of %+v", name, form, got, want)
			}
		})
		if tried < 1000 || accepted == 0 {
			t.Errorf("%s: %d cuts, %d accepted", name, tried, accepted)
		}
	}
	// The same for a call. Its last parameter is fixed, so that three are left to cut.
	genuine := url.Values{"CallStatus": {"busy"}, "CallUUID": {call}, "Direction": {"outbound"}, "From": {plivotest.CallFrom[1:]}}
	params, _ := gateway.SignedParams(genuine)
	text := newSignedText("", verification, 1, params, "").body.Text
	accepted := 0
	cuts(strings.TrimSuffix(text, "From"+plivotest.CallFrom[1:]), call, func(form url.Values) {
		form = maps.Clone(form)
		form.Set("From", genuine.Get("From"))
		p, ok := gateway.SignedParams(form)
		signed := newSignedText(ourURL+StatusPath, verification, 1, p, goodNonce)
		if !ok || signed.body.Text != text {
			return // another signature
		}
		got, err := hooks.callReport(received{verification, 1, form, signed})
		if err != nil {
			return
		}
		accepted++
		if got.Status != otp.Failed || form.Get("CallUUID") != call {
			t.Errorf("cut as %v, it means %+v", form, got)
		}
	})
	if accepted == 0 {
		t.Error("the genuine call was not accepted")
	}
}

// sameReport compares what reports mean.
func sameReport(a, b notify.Report) bool {
	if (a.Failure == nil) != (b.Failure == nil) || a.Failure != nil && *a.Failure != *b.Failure {
		return false
	}
	a.Failure, b.Failure = nil, nil
	return a == b
}

// Names that decide, in other parameters.
func TestAttack23_AmbiguousReports(t *testing.T) {
	d := plivotest.New(plivotest.Account{})
	defer d.Close()
	for _, tc := range []struct {
		name, value string
		want        error
	}{
		{"Note", "Statusread", notify.ErrForged},
		{"Note", "xErrorCode030", notify.ErrForged},
		{"Note", "PartInfo1 of 2", notify.ErrForged},
		{"NoteStatus", "read", notify.ErrForged},
		{"Sta", "tusread", notify.ErrForged},
		{"TendlcRegistrationStatus", "unregistered", nil},
		{"Note", "Status", nil},
		{"Note", "Statusx", nil},
		{"TotalRate", "0.0055", nil},
		{"NewParameter", "1", nil},
		{"requester_ip", "192.0.2.1", nil},
	} {
		hooks := webhooks(t)
		_, form := goodStatus(d)
		form.Set(tc.name, tc.value)
		got, err := hooks.Report(signedRequest(d, StatusPath, goodQuery, form).http())
		if err != tc.want || err == nil && got.Status != otp.Delivered || (hooks.log.Len() > 0) != (err != nil) {
			t.Errorf("%s=%s: %+v, %v, %s", tc.name, tc.value, got, err, hooks.log.String())
		}
	}
}

// Whatever the parameters are: a signed report is read without a panic, and its failure
// has no long number.
func FuzzReport(f *testing.F) {
	d := plivotest.New(plivotest.Account{})
	f.Cleanup(d.Close)
	hooks := webhooks(f)
	_, form := goodStatus(d)
	f.Add(goodQuery, form.Encode(), goodNonce)
	f.Add(goodQuery, "CallStatus=busy&Direction=outbound&From=12025550143&To=14155550123&CallUUID=5b40a428-bfc7-4daf-9d06-726c558bf3b8", goodNonce)
	f.Add(goodQuery, "Status=failed&ErrorCode=030&MessageUUID=5b40a428-bfc7-4daf-9d06-726c558bf3b8&PartInfo=2+of+3", "1")
	f.Add("id=&attempt=", "Status=%FF&Status=", "")
	f.Fuzz(func(t *testing.T, query, body, nonce string) {
		values, _ := url.ParseQuery(body)
		request := signedRequest(d, StatusPath, query, values)
		request.body = body
		request.header.Set(plivotest.Nonce, nonce)
		request.header.Set(plivotest.MainSignature, d.Sign(ourURL+StatusPath+"?"+query, values, nonce))
		got, err := hooks.Report(request.http())
		if err != nil {
			if got != (notify.Report{}) {
				t.Errorf("%+v with %v", got, err)
			}
			return
		}
		if (got.Status == otp.Failed) != (got.Failure != nil) || got.Attempt < 1 || got.Attempt > gateway.MaxAttempt || len(got.Verification) != 34 {
			t.Errorf("got %+v", got)
		}
		if got.Failure != nil && (got.Failure.Code < 0 || got.Failure.Code > 9999) {
			t.Errorf("the number is %d", got.Failure.Code)
		}
	})
}
