package handler_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/client"
	"twofa/internal/guard"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/receipt"
	"twofa/internal/store"
	testrig "twofa/internal/testing/rig"
)

var (
	unreachable = &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024, Next: otp.NextChannel, Detail: "the recipient is not on WhatsApp"}
	badSetting  = &notify.Failure{Outcome: otp.OutcomeMisconfigured, Code: 21655, Setting: "TWILIO_CONTENT_SID", Detail: "the template does not exist"}
)

// loggedEverything makes requests of every operation, with the faults that the log tells
// of, and returns the lines of the log.
func loggedEverything(t *testing.T) (lines []map[string]any) {
	t.Helper()
	for _, drive := range []func(*testing.T) *rig{logMessages, logReports, logUsers, logPages, logEnrolments, logSignIn, logFaults} {
		lines = append(lines, drive(t).lines()...)
	}
	return lines
}

// askAs sends a JSON request of a client.
func (r *rig) askAs(id, method, path, body string, header ...string) *response {
	r.TB.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Content-Type", typeJSON)
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	c := client.Nameless // may do everything
	c.ID = id
	return r.serve(req.WithContext(client.With(req.Context(), c)))
}

// logMessages makes requests about messages and their codes.
func logMessages(t *testing.T) *rig {
	r := newRig(t).noPause()
	started := r.askAs("bank-web", "POST", "/api/otpsend", object("to", alice, "locale", "!", "client_ip", "198.51.100.7"), "Idempotency-Key", "1")
	started.want(201)
	r.askAs("bank-web", "POST", "/api/otpsend", object("to", alice, "locale", "!", "client_ip", "198.51.100.7"), "Idempotency-Key", "1").want(201)
	id, code := r.start(alice)
	r.do("POST", "/api/otpsend/"+id, "", "").want(200)
	r.get("/api/otpsend/" + id).want(200)
	r.check(id, wrong(code))
	r.check(id, code).want(200)
	r.post("/api/otpsend", object("to", alice, "channel", "pigeon")).problem(400, problem.InvalidRequest)
	id, code = r.start(alice)
	for range 5 {
		r.check(id, wrong(code))
	}
	id, _ = r.start(bob)
	r.delete("/api/otpsend/" + id).want(200)
	inbound := r.post("/api/otpsend", object("to", alice, "channel", "inbound", "purpose", "payment")).want(201).text("id")
	r.post("/api/otpverify", object("id", inbound)).problem(409, problem.NotYetApproved)
	r.get("/verify/jwks").problem(404, problem.NotFound)
	r.Verify.Receipts = receipt.New(r.Keys, "https://twofa.example.com", r.Now)
	id, code = r.start(bob)
	r.Rewrite(otp.ID(id), func(old *otp.Recipient) { // no address was reached
		for i := range old.Verifications {
			old.Verifications[i].Attempts[0].Status = otp.Failed
		}
	})
	r.post("/api/otpverify", `{"id": "`+id+`", "code": "`+code+`", "receipt": true}`).want(200)
	r.sender.Answer(badSetting, unreachable)
	r.askAs("bank-web", "POST", "/api/otpsend", object("to", bob)).problem(502, problem.ProviderMisconfigured)
	r.askAs("bank-web", "POST", "/api/otpsend", `{"to": "`+bob+`", "channels": ["whatsapp", "sms"]}`).want(201)
	r.do("POST", "/purge", typeJSON, "{}").want(200)
	return r
}

// logReports makes the provider's requests.
func logReports(t *testing.T) *rig {
	r := newRig(t).noPause()
	id := r.post("/api/otpsend", `{"to": "`+alice+`", "channels": ["whatsapp", "sms"]}`).want(201).text("id")
	r.provider.report = notify.Report{Verification: otp.ID(id), Attempt: 1, Status: otp.Failed, Failure: unreachable}
	blocked := &notify.Failure{Outcome: otp.OutcomeUndeliverable, Word: "blocked_by_carrier", Detail: "the carrier has filtered the message"}
	r.Sender("sms").Answer(blocked)
	r.postForm("/hooks/twilio/status", "x=1", "Signed", "yes", "X-Forwarded-For", "203.0.113.7")
	r.provider.inbound = notify.Inbound{From: bob, Channel: "sms", Text: "hello"}
	r.postForm("/hooks/twilio/inbound", "x=1", "Signed", "yes", "X-Forwarded-For", "203.0.113.7")
	r.postForm("/hooks/twilio/status", "x=1", "Signed", "unrelated", "X-Forwarded-For", "203.0.113.7")
	r.provider.question = notify.Question{Verification: "VE0123456789abcdef0123456789abcdef", Attempt: 1, CallID: "1"}
	r.postForm("/hooks/twilio/answer", "x=1", "Signed", "yes", "X-Forwarded-For", "203.0.113.7")
	return r
}

// logUsers makes requests about users and their factors.
func logUsers(t *testing.T) *rig {
	r := withFactors(t)
	r.API.Users.NotifyChanges = true
	const path = "/api/users/alice"
	r.get(path).want(200)
	r.get(path + "/totp").want(200)
	app := r.enrolled(`{}`)
	r.do("PATCH", path+"/totp/"+app.text("id"), typeJSON, object("name", "Phone")).want(200)
	codes := r.recoveryCodes()
	r.get(path + "/recovery-codes").want(200)

	// The first approval of a user's address, by a code that is the message's and not the
	// app's, while the user's row fails after the app's wrong code.
	r.post("/api/otpsend", object("user", "alice")).want(201)
	written := 0
	r.Table.Before(func(c testrig.Call) error {
		if c.Method != "Update" || c.Ref.Key != store.Key(r.Users.Key(client.MainDirectory, "alice")) {
			return nil
		}
		if written++; written > 1 {
			return errStoreDown
		}
		return nil
	})
	r.post("/api/otpverify", object("user", "alice", "code", r.sender.Last().Code)).want(200)
	r.Table.Before(nil)

	r.post("/api/otpsend", object("user", "alice")).want(201)
	r.Advance(time.Minute)
	r.post("/api/otpverify", object("user", "alice", "code", r.sender.Last().Code)).want(200)
	r.post(path+"/alerts", object("event", "wrong_password")).want(200)
	r.delete(path + "/locks").want(200)
	r.sender.Always(unreachable)
	r.Sender("sms").Always(unreachable)
	r.checkFactor("recovery", codes[0]).want(200)
	r.delete(path + "/totp/" + app.text("id"))
	r.delete(path)
	return r
}

// logFaults makes requests while storage fails or a row is damaged.
func logFaults(t *testing.T) *rig {
	r := newRig(t).noPause()
	r.Table.Break(testrig.FaultFrom(2, testrig.Down))
	r.do("POST", "/api/otpsend", typeJSON, object("to", alice), "Idempotency-Key", "1").want(201)
	r.Table.Break(nil)
	r.Send.Guard = &guard.Guard{Table: r.Table, Keys: r.Keys, Limits: guard.Limits{AnonymousPerDay: 10}, Log: slog.New(slog.DiscardHandler)}
	r.Table.Before(func(c testrig.Call) error {
		if c.Method == "Update" && strings.HasPrefix(string(c.Ref.Key), "g") {
			return errStoreDown
		}
		return nil
	})
	r.post("/api/otpsend", object("to", bob, "origin", "typed")).want(201)
	r.Table.Before(nil)
	err := r.Table.Table.Update(context.Background(), store.Key(r.Kept.Key(alice)), func([]byte) (store.Row, error) {
		return store.Row{Data: []byte("damaged"), KeepUntil: r.Now().Add(time.Hour)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.post("/api/otpsend", object("to", alice)).problem(500, problem.Internal)
	r.panicStore("")
	r.post("/api/otpsend", object("to", alice)).problem(500, problem.Internal)
	return r
}

// documented is a row of a table of docs/log.md.
type documented struct{ name, kind string }

// logTable returns the first table below a heading of docs/log.md.
func logTable(t *testing.T, heading string) (rows []documented) {
	t.Helper()
	text, err := os.ReadFile("../docs/log.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/log.md has no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]*) \\|").FindAllStringSubmatch(section, -1) {
		rows = append(rows, documented{m[1], m[2]})
	}
	return rows
}

// kindOf is the type of a value as docs/log.md names it.
func kindOf(value any) []string {
	switch value {
	case true:
		return []string{"`true`", "true or false"}
	case false:
		return []string{"true or false"}
	}
	switch value.(type) {
	case string:
		return []string{"text"}
	case float64:
		return []string{"number"}
	}
	return nil
}

// docs/log.md names every field that is logged, with its type, and no field that is not.
func TestLogDocs_TablesNameTheFieldsOfTheLog(t *testing.T) {
	t.Parallel()
	lines := loggedEverything(t)
	for _, msg := range []string{"request", "message failed"} {
		table := append(logTable(t, "## Every line"), logTable(t, "## "+msg)...)
		seen := make(map[string]bool)
		for _, line := range lines {
			if line["msg"] != msg {
				continue
			}
			for key, value := range line {
				seen[key] = true
				i := slices.IndexFunc(table, func(d documented) bool { return d.name == key })
				if i < 0 {
					t.Errorf("docs/log.md does not name %s of %s: %v", key, msg, line)
				} else if !slices.Contains(kindOf(value), table[i].kind) {
					t.Errorf("docs/log.md says that %s of %s is %s, and it is %v", key, msg, table[i].kind, value)
				}
			}
		}
		for _, d := range table {
			if !seen[d.name] {
				t.Errorf("docs/log.md names %s of %s, which no line has", d.name, msg)
			}
		}
	}
}

// docs/log.md lists the operations.
func TestLogDocs_ListTheOperations(t *testing.T) {
	t.Parallel()
	logged := make(map[string]bool)
	for _, line := range loggedEverything(t) {
		if name, ok := line["operation"].(string); ok {
			logged[name] = true
		}
	}
	for _, d := range logTable(t, "### Operations") {
		if !logged[d.name] {
			t.Errorf("docs/log.md has the operation %s, which no line has", d.name)
		}
		delete(logged, d.name)
	}
	for name := range logged {
		t.Errorf("docs/log.md does not have the operation %s", name)
	}
}
