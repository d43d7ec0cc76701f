package handler_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
)

// inDirectory is an entry of a client of that directory.
func inDirectory(directory, id string, scopes ...string) string {
	return strings.Replace(entry(id, scopes...), "{", `{"directory": "`+directory+`", `, 1)
}

// request is one request of a client.
type request struct {
	method, path, body string
	header             []string
}

// observed is what a client can learn from a request, and what the log says of it.
type observed struct {
	status int
	header map[string][]string
	body   string
	line   map[string]any
}

// observe makes a request. Its id is left out of what is observed, and so are the parts that
// differ each time.
func (r *rig) observe(client string, q request, id string) observed {
	r.TB.Helper()
	q.path, q.body = strings.ReplaceAll(q.path, "ID", id), strings.ReplaceAll(q.body, "ID", id)
	contentType := ""
	if q.body != "" {
		contentType = typeJSON
	}
	res := r.as(client, q.method, q.path, contentType, q.body, q.header...)
	line := r.lastLine()
	for _, name := range []string{"time", "request_id", "ms"} {
		delete(line, name)
	}
	res.header.Del("X-Request-Id")
	return observed{res.status, res.header, strings.ReplaceAll(res.body, id, "ID"), line}
}

// aboutIDs are requests about the verification ID, by every route that takes an id. The
// idempotency keys are those that the other client used.
func aboutIDs(code string) map[string]request {
	const send, verify = "/api/otpsend/ID", "/api/otpverify"
	return map[string]request{
		"look up":                {"GET", send, "", nil},
		"its head":               {"HEAD", send, "", nil},
		"cancel":                 {"DELETE", send, "", nil},
		"resend":                 {"POST", send, "", nil},
		"resend over a channel":  {"POST", send, object("channel", "sms"), nil},
		"resend to the next":     {"POST", send, object("channel", "next"), nil},
		"resend as typed":        {"POST", send, object("origin", "typed"), nil},
		"the key of their start": {"POST", send, "", []string{"Idempotency-Key", "their-start"}},
		"the key of theirs":      {"POST", send, "", []string{"Idempotency-Key", "their-resend"}},
		"the right code":         {"POST", verify, object("id", "ID", "code", code), nil},
		"a wrong code":           {"POST", verify, object("id", "ID", "code", wrong(code)), nil},
		"id and number":          {"POST", verify, object("id", "ID", "to", alice, "code", code), nil},
		"id and purpose":         {"POST", verify, object("id", "ID", "purpose", "login", "code", code), nil},
		"id and origin":          {"POST", verify, object("id", "ID", "origin", "server", "code", code), nil},
		"fetch an approval":      {"POST", verify, object("id", "ID"), nil},
		"a text without a code":  {"POST", verify, object("id", "ID", "code", "12"), nil},
	}
}

// foreignRig has the clients bank and desk of the main directory, and shop of another.
// Bank and, before there were clients, the nameless client have started verifications for
// Alice. nameless, bank and inbound are their ids; code is bank's code.
func foreignRig(t *testing.T) (r *rig, code string, ids map[string]string) {
	t.Helper()
	r = newRig(t).noPause()
	nameless, _ := r.start(alice)
	r.withClients(entry("bank", "send", "check", "users"), entry("desk", "send", "check", "users"), inDirectory("other", "shop", "send", "check", "users"))
	start := func(header []string, pairs ...string) string {
		t.Helper()
		return r.as("bank", "POST", "/api/otpsend", typeJSON, object(append(pairs, "to", alice)...), header...).want(201).text("id")
	}
	ids = map[string]string{"nameless": nameless, "bank": start([]string{"Idempotency-Key", "their-start"})}
	code = r.sender.Last().Code
	r.as("bank", "POST", "/api/otpsend/"+ids["bank"], "", "", "Idempotency-Key", "their-resend").want(200)
	ids["inbound"] = start(nil, "channel", "inbound", "purpose", "inbound")
	r.Code(otp.ID(ids["inbound"]))
	return r, code, ids
}

// Another client's id is as good as none: status, headers, body, round trips and log are
// those of an id that nobody has, and nothing changes.
func TestAttack27_R17_AnothersIDIsAnUnknownOne(t *testing.T) {
	t.Parallel()
	r, code, ids := foreignRig(t)
	sent, rows := r.Sent(), r.rows()
	unknown := string(r.Kept.NewID(r.Kept.Key(bob), [8]byte{1}))    // leads to no row
	inTheRow := string(r.Kept.NewID(r.Kept.Key(alice), [8]byte{1})) // leads to the row of theirs
	for name, q := range aboutIDs(code) {
		for _, client := range []string{"shop", "desk"} {
			want := r.observe(client, q, unknown)
			if want.status != 404 {
				t.Errorf("%s of an unknown id: %d %s", name, want.status, want.body)
			}
			ids["in the row"] = inTheRow
			for whose, id := range ids {
				if got := r.observe(client, q, id); !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %s, the id of %s:\n%+v\nan unknown one:\n%+v", client, name, whose, got, want)
				}
			}
		}
	}
	wantEqual(t, "messages", r.Sent(), sent)
	if !slices.Equal(r.rows(), rows) {
		t.Error("a row was written")
	}
	r.as("bank", "POST", "/api/otpverify", typeJSON, object("id", ids["bank"], "code", code)).want(200)
}

// By number and purpose, the right code of another client's verification finds nothing, and
// spends no try of anybody.
func TestAttack27_R17_AnothersCodeFindsNothing(t *testing.T) {
	t.Parallel()
	r, code, ids := foreignRig(t)
	rows := r.rows()
	for _, client := range []string{"shop", "desk"} {
		for name, body := range map[string]string{
			"number":                object("to", alice, "code", code),
			"number, wrong":         object("to", alice, "code", wrong(code)),
			"number and purpose":    object("to", alice, "purpose", "login", "code", code),
			"typed":                 object("to", alice, "origin", "typed", "code", code),
			"the nameless client's": object("to", alice, "code", r.Code(otp.ID(ids["nameless"]))),
		} {
			r.as(client, "POST", "/api/otpverify", typeJSON, body).problem(404, problem.NotFound)
			wantEqual(t, client+", "+name+": round trips", r.lastLine()["trips"], any(1.0))
		}
	}
	if !slices.Equal(r.rows(), rows) {
		t.Error("a row was written")
	}

	// A verification of another client that has just expired makes no difference either.
	r.Advance(11 * time.Minute)
	r.as("desk", "POST", "/api/otpverify", typeJSON, object("to", alice, "code", code)).problem(404, problem.NotFound)
	wantEqual(t, "round trips after the expiry", r.lastLine()["trips"], any(1.0))
	if !slices.Equal(r.rows(), rows) {
		t.Error("a row was written after the expiry")
	}
	r.Advance(-11 * time.Minute)

	// A client with a verification of its own spends its own tries.
	own := r.as("shop", "POST", "/api/otpsend", typeJSON, object("to", alice), "Idempotency-Key", "their-start").want(201)
	wantEqual(t, "the replay of another's key", own.header.Get("Idempotency-Replayed"), "")
	res := r.as("shop", "POST", "/api/otpverify", typeJSON, object("to", alice, "code", code)).problem(422, problem.WrongCode)
	wantEqual(t, "checks left", res.number("checks_left"), 4)
	wantEqual(t, "checks left of bank", r.as("bank", "GET", "/api/otpsend/"+ids["bank"], "", "").want(200).number("checks_left"), 5)
	r.as("shop", "POST", "/api/otpverify", typeJSON, object("to", alice, "code", r.Code(otp.ID(own.text("id"))))).want(200)
	r.as("bank", "POST", "/api/otpverify", typeJSON, object("to", alice, "code", code)).want(200)
}

// A start for the same number and purpose replaces nothing of another client's, has its own
// pause, and its answer shows its own counters.
func TestR17_AnothersStartChangesNothing(t *testing.T) {
	t.Parallel()
	r, code, ids := foreignRig(t)
	r.Policy(func(p *otp.Policy) { p.ResendAfter = otp.DefaultPolicy().ResendAfter })
	before := r.as("bank", "GET", "/api/otpsend/"+ids["bank"], "", "").want(200)
	started := r.as("shop", "POST", "/api/otpsend", typeJSON, object("to", alice)).want(201)
	wantEqual(t, "sends left of shop", started.number("sends_left"), 4)
	r.as("shop", "POST", "/api/otpsend", typeJSON, object("to", alice)).problem(429, problem.ResendTooSoon)
	for range 5 {
		r.as("shop", "POST", "/api/otpverify", typeJSON, object("id", started.text("id"), "code", r.Wrong(otp.ID(started.text("id"))))).problem(422, problem.WrongCode)
	}
	if after := r.as("bank", "GET", "/api/otpsend/"+ids["bank"], "", "").want(200); after.body != before.body {
		t.Errorf("bank's verification changed from\n%s to\n%s", before.body, after.body)
	}
	r.as("bank", "POST", "/api/otpverify", typeJSON, object("id", ids["bank"], "code", code)).want(200)
}

// A user of another directory is not there, for starts and checks; a client of the same
// directory shares the user, and not the verifications.
func TestAttack27_R17_AUserOfAnotherDirectoryIsNotThere(t *testing.T) {
	t.Parallel()
	r, _, _ := foreignRig(t)
	r.as("bank", "PUT", "/api/users/alice", typeJSON, object("phone", alice)).want(201)
	r.as("bank", "POST", "/api/otpsend", typeJSON, object("user", "alice", "purpose", "pay")).want(201)
	code := r.sender.Last().Code
	sent, rows := r.Sent(), r.rows()
	for name, q := range map[string]request{
		"start":           {"POST", "/api/otpsend", object("user", "NAME"), nil},
		"check":           {"POST", "/api/otpverify", object("user", "NAME", "purpose", "pay", "code", code), nil},
		"check anything":  {"POST", "/api/otpverify", object("user", "NAME", "code", code), nil},
		"an app's code":   {"POST", "/api/otpverify", object("user", "NAME", "code", code, "factor", "totp"), nil},
		"a recovery code": {"POST", "/api/otpverify", object("user", "NAME", "code", "ABCD-EFGH-JKMN-PQRS", "factor", "recovery"), nil},
		"unlock":          {"DELETE", "/api/users/NAME/locks", "", nil},
		"look up":         {"GET", "/api/users/NAME", "", nil},
		"erase":           {"DELETE", "/api/users/NAME", "", nil},
	} {
		of := func(user string) observed {
			q := request{q.method, strings.ReplaceAll(q.path, "NAME", user), strings.ReplaceAll(q.body, "NAME", user), nil}
			got := r.observe("shop", q, "ID")
			delete(got.line, "user") // a hash
			return got
		}
		got, want := of("alice"), of("nobody")
		if want.status != 404 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: of alice\n%+v\nof nobody\n%+v", name, got, want)
		}
	}
	r.as("desk", "GET", "/api/users/alice", "", "").want(200)
	r.as("desk", "POST", "/api/otpverify", typeJSON, object("user", "alice", "purpose", "pay", "code", code)).problem(404, problem.NotFound)
	wantEqual(t, "messages", r.Sent(), sent)
	if !slices.Equal(r.rows(), rows) {
		t.Error("a row was written")
	}
	r.as("bank", "POST", "/api/otpverify", typeJSON, object("user", "alice", "purpose", "pay", "code", code)).want(200)
}

// A typed and a server's verification of one client are two: each replaces, and is found by
// number, with its own origin only. By id, the origin may be left out.
func TestOriginsOfOneClientAreKeptApart(t *testing.T) {
	t.Parallel()
	r := newRig(t).noPause().withClients(entry("bank", "send", "check"))
	ids, codes := map[string]string{}, map[string]string{}
	for _, origin := range []string{"server", "typed"} {
		ids[origin] = r.as("bank", "POST", "/api/otpsend", typeJSON, object("to", alice, "origin", origin)).want(201).text("id")
		codes[origin] = r.sender.Last().Code
	}
	check := func(pairs ...string) *response {
		return r.as("bank", "POST", "/api/otpverify", typeJSON, object(pairs...))
	}
	for origin, other := range map[string]string{"server": "typed", "typed": "server"} {
		check("id", ids[origin], "origin", other, "code", codes[origin]).problem(404, problem.NotFound)
		r.as("bank", "POST", "/api/otpsend/"+ids[origin], typeJSON, object("origin", other)).problem(404, problem.NotFound)
		check("to", alice, "origin", origin, "code", codes[other]).problem(422, problem.WrongCode)
	}
	check("to", alice, "origin", "typed", "code", codes["typed"]).want(200)
	check("id", ids["server"], "code", codes["server"]).want(200)
	for _, bad := range []string{"known", "Typed", "page", " typed"} {
		check("id", ids["server"], "origin", bad, "code", "123456").problem(400, problem.InvalidRequest).wantFields("origin")
		r.as("bank", "POST", "/api/otpsend", typeJSON, object("to", alice, "origin", bad)).problem(400, problem.InvalidRequest).wantFields("origin")
		r.as("bank", "POST", "/api/otpsend/"+ids["server"], typeJSON, object("origin", bad)).problem(400, problem.InvalidRequest).wantFields("origin")
	}
}
