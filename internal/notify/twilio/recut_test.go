package twilio

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/twiliotest"
)

const (
	victim     = fixture.Bob
	anotherSID = "SM" + "ffffffffffffffffffffffffffffffff"
	// foreignAccount is not ours.
	foreignAccount = "AC" + "ffffffffffffffffffffffffffffffff"
)

// cutter finds other requests with the same signed bytes.
type cutter struct {
	text    string
	isQuery bool // the text begins with a query
	starts  []int
	// ends has, by start, where a name that begins there may end.
	ends  map[int][]int
	yield func(query string, form url.Values)
}

// signedBytes is what Twilio signs after the path and its question mark.
func signedBytes(query string, form url.Values) string {
	text := query
	for _, name := range slices.Sorted(maps.Keys(form)) {
		text += name + form.Get(name)
	}
	return text
}

// decisive are the names that a cut may try to make, and those of genuine requests.
var decisive = slices.Concat(knownNames, []string{"NumMedia", "NumSegments", "ReferralNumMedia", "Forwarded", "FrequentlyForwarded", "ForwardedFrom", "Sms", "OriginalReplied", "Latitude", "Longitude", "Caller"})

// newCutter cuts at each name that decides something, also in the middle of such a
// name, and at the letters of extra.
func newCutter(query string, form url.Values, extra string, yield func(string, url.Values)) *cutter {
	c := &cutter{text: signedBytes(query, form), isQuery: query != "", ends: make(map[int][]int), yield: yield}
	add := func(start, end int) {
		if start < end && end <= len(c.text) && isAlphanumeric(c.text[start:start+1]) && c.text[start] > '9' && !slices.Contains(c.ends[start], end) {
			c.ends[start] = append(c.ends[start], end)
		}
	}
	for _, name := range decisive {
		for at := range c.text {
			if strings.HasPrefix(c.text[at:], name) {
				add(at, at+len(name))
			}
		}
	}
	for _, name := range []string{"From", "To", "MessageSid", "MessageStatus", "ErrorCode"} { // a cut in the name
		for at := range c.text {
			if strings.HasPrefix(c.text[at:], name) {
				add(at+1, at+2)
				add(at+1, at+len(name)+1)
			}
		}
	}
	if at := strings.Index(c.text, extra); extra != "" && at >= 0 {
		for i := range len(extra) {
			if extra[i] > 'f' || extra[i] < 'a' { // no digits of a SID: there are too many
				add(at+i, at+i+1)
			}
			if i > 0 {
				add(at, at+i)
			}
		}
	}
	c.starts = slices.Sorted(maps.Keys(c.ends))
	return c
}

// all yields every cut.
func (c *cutter) all() {
	if c.isQuery {
		for _, first := range c.starts {
			c.cut(first, c.text[:first], nil, "")
		}
		c.yield(c.text, url.Values{})
		return
	}
	c.cut(0, "", nil, "")
}

// cut yields every cut of the text from at, where a parameter begins. done has the
// starts and the ends of the names before.
func (c *cutter) cut(at int, query string, done [][2]int, last string) {
	for _, end := range c.ends[at] {
		name := c.text[at:end]
		if name <= last {
			continue // a signed text has its names in order
		}
		params := append(slices.Clip(done), [2]int{at, end})
		c.done(query, params)
		for _, next := range c.starts {
			if next >= end {
				c.cut(next, query, params, name)
			}
		}
	}
}

// done yields the request with these parameters, the last of which has all the rest.
func (c *cutter) done(query string, params [][2]int) {
	form := make(url.Values)
	for i, p := range params {
		end := len(c.text)
		if i+1 < len(params) {
			end = params[i+1][0]
		}
		form.Set(c.text[p[0]:p[1]], c.text[p[1]:end])
	}
	c.yield(query, form)
}

// forms of Twilio's requests that are as short as possible, so that all their cuts
// can be tried.
func shortMessage(d *twiliotest.Double, from, body string, more ...string) url.Values {
	full := inboundForm(d, from, body)
	form := make(url.Values)
	for _, name := range []string{"AccountSid", "Body", "From", "MessageSid", "SmsMessageSid", "To"} {
		form[name] = full[name]
	}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// wantOneMeaning reads a request that has the signature of another one. It has to be
// refused, or to be from the same person and the same message. wantOneMeaning reports
// whether it was accepted.
func wantOneMeaning(t interface{ Errorf(string, ...any) }, hooks *receiver, request webhook, genuine url.Values) (accepted bool) {
	got, err := hooks.Inbound(request.http())
	if err != nil {
		if !errors.Is(err, notify.ErrForged) && !errors.Is(err, notify.ErrForeign) || got != (notify.Inbound{}) {
			t.Errorf("?%s %s: got %+v, %v", request.query, request.body, got, err)
		}
		return false
	}
	if got.From == "" {
		return false // from nobody: it changes nothing
	}
	_, from := senderOf(genuine.Get("From"))
	if got.From != from || (got.Channel == channel.WhatsApp) != strings.HasPrefix(genuine.Get("From"), whatsAppPrefix) || got.MessageID != genuine.Get("MessageSid") ||
		got.OptOut != (genuine.Get("OptOutType") == "STOP") {
		t.Errorf("?%s %s\nis read as %+v, but Twilio has signed\n%v", request.query, request.body, got, genuine)
	}
	return true
}

// R20, attack 23. Every cut of a signed message into other names and values is refused,
// or is from the same person, in the same message. The attacker writes the message.
func TestR20_EveryCutOfAMessage(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	for _, m := range []struct {
		body string
		more []string
	}{
		{"hello", nil},
		{"NO Dice", nil},
		{"NOFrom" + victim, nil},
		{"NOFrom" + victim + "G", nil},
		{"NOFromwhatsapp:" + victim + "G", nil},
		{"NOXFrom" + victim + "Forwarded", nil},
		{"NOFrom" + victim + "MessageSid" + anotherSID + "Z", nil},
		{"AccountSid" + foreignAccount, nil},
		{"NO", []string{"Label", "MessageSid" + anotherSID + "OriginalReplied"}},
		{"NO", []string{"Label", "MessageSid" + anotherSID + "Sms"}},
		{"NOForwarded", []string{"Label", "xFrom" + victim + "L"}},
		{"NO", []string{"ProfileName", "xTo" + victim}},
		{"NO", []string{"DFrom", victim}},
		{"NOFromrcs:" + victim + "G", nil},
		{"NO OptOutTypeSTOP", nil},
		{"NO", []string{"OptOutType", "STOP"}},
		{"482913OptOutTypeSTOPX", []string{"OptOutType", "HELP"}},
	} {
		t.Run(m.body, func(t *testing.T) {
			form := shortMessage(d, recipient, m.body, m.more...)
			genuine := signedRequest(d, InboundPath, "", form)
			cuts, accepted := 0, 0
			newCutter("", form, m.body[max(0, len(m.body)-30):], func(query string, cut url.Values) {
				if cuts++; t.Failed() {
					return
				}
				request := signedRequest(d, InboundPath, query, cut)
				if request.signatures[0] != genuine.signatures[0] {
					t.Fatalf("%v is no cut of %v", cut, form)
				}
				if wantOneMeaning(t, hooks, request, form) {
					accepted++
				}
			}).all()
			t.Logf("%d cuts, %d accepted", cuts, accepted)
			if cuts < 400 {
				t.Errorf("only %d cuts", cuts)
			}
		})
	}
}

// R20, attack 23. The same for whole requests of Twilio, with random texts and cuts.
func TestR20_RandomCutsOfAMessage(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{
		"From", "To", "AccountSid", "MessageSid", "MessagingServiceSid", "Sms", "OriginalReplied", "Forwarded", "whatsapp:", "rcs:", "OptOutType", "STOP", victim, recipient,
		twiliotest.SMSFrom, "whatsapp:" + twiliotest.WhatsAppFrom, anotherSID, twiliotest.AccountSID, foreignAccount, twiliotest.MessagingServiceSID,
		"NO", " ", "G", "M", "Z", "x", "&", "=", "+", "1", "Fro", "m", "é", "",
	}), 0, 8)
	text := rapid.Custom(func(t *rapid.T) string { return strings.Join(pieces.Draw(t, "pieces"), "") })
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.SampledFrom([]string{recipient, whatsAppPrefix + recipient, rcsPrefix + recipient}).Draw(t, "from")
		form := inboundForm(d, from, text.Draw(t, "body"))
		for _, name := range []string{"ProfileName", "Label", "ListTitle", "ButtonPayload", "NewParameter"} {
			if rapid.Bool().Draw(t, name) {
				form.Set(name, text.Draw(t, name+"'s value"))
			}
		}
		genuine := signedRequest(d, InboundPath, "", form)
		wantOneMeaning(t, hooks, genuine, form)

		c := newCutter("", form, "", nil)
		c.yield = func(query string, cut url.Values) {
			request := signedRequest(d, InboundPath, query, cut)
			if request.signatures[0] != genuine.signatures[0] {
				t.Fatalf("%v is no cut of %v", cut, form)
			}
			wantOneMeaning(t, hooks, request, form)
		}
		for range 50 {
			var params [][2]int
			at, last := 0, ""
			for at >= 0 {
				end := rapid.SampledFrom(c.ends[at]).Draw(t, "end")
				if name := c.text[at:end]; name > last {
					params, last = append(params, [2]int{at, end}), name
				}
				i, _ := slices.BinarySearch(c.starts, max(end, at+1))
				i += max(0, rapid.IntRange(-4, 2).Draw(t, "skip")) // mostly the next one
				if at = -1; i < len(c.starts) {
					at = c.starts[i]
				}
			}
			c.done("", params)
		}
	})
}

// R20, attack 23. Every cut of a signed report is refused, or means the same.
func TestR20_EveryCutOfAReport(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	for name, tc := range map[string]struct {
		query string
		form  []string
	}{
		"delivered":      {goodQuery, []string{"MessageStatus", "delivered"}},
		"failed":         {goodQuery, []string{"MessageStatus", "undelivered", "ErrorCode", "63024", "ErrorMessage", "Twilio's words"}},
		"one attempt":    {"id=" + string(verification) + "&attempt=1", []string{"MessageStatus", "failed", "ErrorCode", "63016"}},
		"a call":         {goodQuery, []string{"CallStatus", "completed", "CallDuration", "3"}},
		"a call failed":  {goodQuery, []string{"CallStatus", "no-answer", "ErrorCode", "13224"}},
		"hostile words":  {goodQuery, []string{"MessageStatus", "failed", "ErrorCode", "63024", "ErrorMessage", "xMessageStatusreadN"}},
		"another number": {goodQuery, []string{"MessageStatus", "failed", "ErrorCode", "63024", "ChannelStatusMessage", "xErrorCode30450F"}},
		"a cut name":     {goodQuery, []string{"MessageStatus", "failed", "AMessageStatus", "read"}},
	} {
		t.Run(name, func(t *testing.T) {
			form := url.Values{"AccountSid": {twiliotest.AccountSID}, "MessageSid": {anotherSID}, "To": {whatsAppPrefix + recipient}}
			for i := 0; i < len(tc.form); i += 2 {
				form.Set(tc.form[i], tc.form[i+1])
			}
			genuine := signedRequest(d, StatusPath, tc.query, form)
			want, genuineErr := hooks.Report(genuine.http())
			cuts := 0
			newCutter(tc.query, form, "", func(query string, cut url.Values) {
				if cuts++; t.Failed() {
					return
				}
				request := signedRequest(d, StatusPath, query, cut)
				if request.signatures[0] != genuine.signatures[0] {
					t.Fatalf("%v is no cut of %v", cut, form)
				}
				got, err := hooks.Report(request.http())
				switch {
				case err != nil:
					if !errors.Is(err, notify.ErrForged) && !errors.Is(err, notify.ErrForeign) || got != (notify.Report{}) {
						t.Errorf("?%s %v: got %+v, %v", query, cut, got, err)
					}
				case genuineErr != nil:
					t.Errorf("?%s %v\nis read as %+v, but the genuine request was refused", query, cut, got)
				case got.Verification != want.Verification || got.Attempt != want.Attempt || got.Status != want.Status || (got.Failure == nil) != (want.Failure == nil) ||
					want.Failure != nil && *got.Failure != *want.Failure:
					t.Errorf("?%s %v\nis read as %+v, but Twilio has signed\n%+v", query, cut, got, want)
				}
			}).all()
			t.Logf("%d cuts; the genuine one: %v", cuts, genuineErr)
			if cuts < 50 {
				t.Errorf("only %d cuts", cuts)
			}
		})
	}
}

// Attack 23. One message that the attacker wrote, and a request with the same signed
// bytes that has another meaning. Both are refused, and the log has no part of them.
func TestAttack23_AnotherCutOfASignedMessage(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	const unknown = "a parameter with an unknown name"
	tail := func(form url.Values, names ...string) (text string) {
		for _, name := range names {
			text += name + form.Get(name)
		}
		return text
	}
	for name, tc := range map[string]struct {
		from    string
		genuine []string                        // changes of the attacker's message
		cut     func(form url.Values) []string  // changes of that; "-" removes
		meaning func(form url.Values) [2]string // From and MessageSid of the cut
		holder  string                          // in the log about the genuine request
		held    string
	}{
		"a sender in the text": {recipient, []string{"Body", "NOFrom" + victim + "G"},
			func(f url.Values) []string { return []string{"Body", "NO", "From", victim, "G", tail(f, "From")} },
			func(f url.Values) [2]string { return [2]string{victim, f.Get("MessageSid")} }, "Body", "From"},
		"a sender of WhatsApp": {whatsAppPrefix + recipient, []string{"Body", "NOFromwhatsapp:" + victim + "G"},
			func(f url.Values) []string {
				return []string{"Body", "NO", "From", whatsAppPrefix + victim, "G", tail(f, "From")}
			},
			func(f url.Values) [2]string { return [2]string{victim, f.Get("MessageSid")} }, "Body", "From"},
		"a sender of RCS": {rcsPrefix + recipient, []string{"Body", "NOFromrcs:" + victim + "G"},
			func(f url.Values) []string {
				return []string{"Body", "NO", "From", rcsPrefix + victim, "G", tail(f, "From")}
			},
			func(f url.Values) [2]string { return [2]string{rcsPrefix + victim, f.Get("MessageSid")} }, "Body", "From"},
		"a signal": {recipient, []string{"Body", "482913OptOutTypeSTOP"}, nil, nil, "Body", "OptOutType"},
		"the old sender in a name": {recipient, []string{"Body", "NOFrom" + victim + "G"},
			func(f url.Values) []string { return []string{"Body", "NO", "From", victim, "GFrom", f.Get("From")} },
			func(f url.Values) [2]string { return [2]string{victim, f.Get("MessageSid")} }, "Body", "From"},
		"in a new parameter": {recipient, []string{"CNew", "From" + victim + "G"},
			func(f url.Values) []string { return []string{"CNew", "", "From", victim, "G", tail(f, "From")} },
			func(f url.Values) [2]string { return [2]string{victim, f.Get("MessageSid")} }, unknown, "From"},
		"the name of a new parameter": {recipient, []string{"DFrom", victim + "G"},
			func(f url.Values) []string {
				return []string{"DFrom", "-", "D", "", "From", victim, "G", tail(f, "From")}
			},
			func(f url.Values) [2]string { return [2]string{victim, f.Get("MessageSid")} }, unknown, "From"},
		"another message": {recipient, []string{"Label", "MessageSid" + anotherSID + "N"},
			func(f url.Values) []string {
				return []string{"Label", "", "MessageSid", anotherSID, "N", tail(f, "MessageSid")}
			},
			func(url.Values) [2]string { return [2]string{recipient, anotherSID} }, "Label", "MessageSid"},
		"another account":  {recipient, []string{"Body", "AccountSid" + foreignAccount}, nil, nil, "Body", "AccountSid"},
		"another receiver": {recipient, []string{"ProfileName", "To" + victim}, nil, nil, "ProfileName", "To"},
		"another service":  {recipient, []string{"ListTitle", "MessagingServiceSid" + twiliotest.MessagingServiceSID}, nil, nil, "ListTitle", "MessagingServiceSid"},
	} {
		t.Run(name, func(t *testing.T) {
			hooks := webhooks(t)
			form := shortMessage(d, tc.from, "NO", tc.genuine...)
			genuine := signedRequest(d, InboundPath, "", form)
			if got, err := hooks.Inbound(genuine.http()); err != notify.ErrForged {
				t.Errorf("the genuine request: %+v, %v", got, err)
			}
			if log := hooks.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "held="+tc.held+"\n") ||
				!strings.Contains(log, "holder="+tc.holder+" ") && !strings.Contains(log, fmt.Sprintf("holder=%q ", tc.holder)) {
				t.Errorf("the log: %s", log)
			}
			if tc.cut != nil {
				cut := maps.Clone(form)
				changes := tc.cut(form)
				for i := 0; i < len(changes); i += 2 {
					if cut.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
						cut.Del(changes[i])
					}
				}
				request := signedRequest(d, InboundPath, "", cut)
				if request.signatures[0] != genuine.signatures[0] {
					t.Fatalf("%v is no cut of %v", cut, form)
				}
				if want := tc.meaning(form); strings.TrimPrefix(cut.Get("From"), whatsAppPrefix) != want[0] || cut.Get("MessageSid") != want[1] {
					t.Fatalf("the attack is %v", cut)
				}
				if got, err := hooks.Inbound(request.http()); err != notify.ErrForged {
					t.Errorf("the cut: %+v, %v", got, err)
				}
			}
			for _, secret := range []string{victim[1:], recipient[1:], anotherSID, foreignAccount, "CNew", "DFrom"} {
				if strings.Contains(hooks.log.String(), secret) {
					t.Errorf("the log has %s: %s", secret, hooks.log.String())
				}
			}
		})
	}
}
