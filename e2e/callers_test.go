package e2e

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/testing/functionshost"
)

// apps are clients of the service, with their secrets.
type apps struct {
	setting string // TWOFA_CLIENTS
	secrets map[string]string
}

// newApps makes the clients with the binary's own command, as an operator does, and asks it
// whether each secret is right. change, if set, changes the entry of a client.
func newApps(t *testing.T, change func(id, entry string) string, ids ...string) apps {
	t.Helper()
	dir, a := t.TempDir(), apps{secrets: make(map[string]string)}
	var entries []string
	for _, id := range ids {
		stdout, stderr, code := runCommand(t, dir, nil, "", "clients", "new", id)
		lines := strings.Split(stdout, "\n")
		if code != 0 || stderr != "" || len(lines) < 7 {
			t.Fatalf("clients new %s: %d %s %s", id, code, stdout, stderr)
		}
		entry := lines[6]
		if change != nil {
			entry = change(id, entry)
		}
		a.secrets[id], entries = lines[2], append(entries, entry)
	}
	path := filepath.Join(dir, "clients.json")
	writeFile(t, path, "["+strings.Join(entries, ",\n")+"]\n")
	a.setting = "TWOFA_CLIENTS=@" + path
	for i, id := range ids {
		if stdout, stderr, code := runCommand(t, dir, []string{a.setting}, a.secrets[id]+"\n", "clients", "check", id); code != 0 {
			t.Fatalf("clients check %s: %d %s %s", id, code, stdout, stderr)
		}
		other := a.secrets[ids[(i+1)%len(ids)]]
		if _, stderr, code := runCommand(t, dir, []string{a.setting}, other, "clients", "check", id); code == 0 || strings.Contains(stderr, other) {
			t.Fatalf("clients check %s with another client's secret: %d %s", id, code, stderr)
		}
	}
	return a
}

// as returns c with the credentials of an app.
func (a apps) as(c *client, id string) *client {
	return c.with("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+a.secrets[id])))
}

// README's story: two apps, each with a secret of its own, send to one number, and each
// checks its own code. The log names both.
func TestR17_TwoAppsSendToOneNumber(t *testing.T) {
	t.Parallel()
	a := newApps(t, nil, "bank-web", "shop")
	p := serve(t, []string{"TWOFA_ADDR=127.0.0.1:0", "TWOFA_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), a.setting})
	bank, shop := a.as(p.client, "bank-web"), a.as(p.client, "shop")
	number := newNumber()
	want(t, p.post("/api/otpsend", fields{"to": number}), "401 unauthorized")
	want(t, p.with("Authorization", bank.header.Get("Authorization")+"x").post("/api/otpsend", fields{"to": number}), "401 unauthorized")

	ofBank := want(t, bank.post("/api/otpsend", fields{"to": number}), "201")
	bankCode := p.printed(1)
	ofShop := want(t, shop.post("/api/otpsend", fields{"to": number}), "201")
	shopCode := p.printed(2)
	wantFields(t, ofBank, fields{"sends_left": 4, "checks_left": 5})
	wantFields(t, ofShop, fields{"sends_left": 4, "checks_left": 5})
	if bankCode == shopCode { // one pair of codes in a million
		t.Skip("both codes are the same by chance")
	}
	want(t, shop.check(fields{"id": ofBank.text("id"), "code": bankCode}), "404 not_found")
	wantFields(t, want(t, shop.check(fields{"to": number, "code": bankCode}), "422 wrong_code"), fields{"checks_left": 4})
	wantFields(t, want(t, bank.check(fields{"to": number, "code": bankCode}), "200"), fields{"id": ofBank.text("id")})
	wantFields(t, want(t, shop.check(fields{"to": number, "code": shopCode}), "200"), fields{"id": ofShop.text("id")})
	for id, secret := range a.secrets {
		p.stdout.await(t, p.exited, `"client":"`+id+`"`)
		if strings.Contains(p.stdout.String(), secret) {
			t.Errorf("the log has the secret of %s", id)
		}
	}
}

// Under the Functions host a client's credentials come beside the function's key. Neither
// replaces the other.
func TestR17_CredentialsBesideTheFunctionKey(t *testing.T) {
	rig := newParallelRig(t)
	a := newApps(t, nil, "bank", "shop")
	for name, mode := range map[string]functionshost.Options{"cloud": {}, "behind Azure's edge": {Edge: true}} {
		t.Run(name, func(t *testing.T) {
			_, c := rig.host(func(o *functionshost.Options) { o.Edge = mode.Edge }, noPause, a.setting)
			number := newNumber()
			bank := a.as(c, "bank")
			id, code := rig.start(bank, number)
			refused := want(t, c.post("/api/otpsend", fields{"to": number}), "401 unauthorized")
			if !strings.HasPrefix(refused.header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("the headers are %v", refused.header)
			}
			if r := bank.without("X-Functions-Key").post("/api/otpsend", fields{"to": number}); r.status != 401 || r.body != "" {
				t.Errorf("without the function's key: %v %s", r, r.body)
			}
			want(t, a.as(c, "shop").check(fields{"id": id, "code": code}), "404 not_found")
			want(t, bank.check(fields{"id": id, "code": code}), "200")
			if n := len(rig.sent(number)); n != 1 {
				t.Errorf("%d messages, want 1", n)
			}
		})
	}
}

// sender is one caller of the parallel tests.
type sender struct {
	app, origin, ip string
}

func (s sender) String() string { return s.app + " " + s.origin }

// senders are three apps' servers, and typed addresses from five networks.
var senders = []sender{
	{"bank", "server", ""}, {"shop", "server", ""}, {"pay", "server", ""},
	{"bank", "typed", "203.0.113.1"}, {"shop", "typed", "198.51.100.1"}, {"pay", "typed", "192.0.2.1"}, {"bank", "typed", "203.0.112.1"}, {"shop", "typed", "203.0.113.2"},
}

// tallies returns how many messages and wrong codes the row of a number counts, by app and
// origin, by origin, by network and in all.
func (rig *rig) tallies(number string) (sends, wrong map[string]int) {
	rig.t.Helper()
	rows := rig.recipients()
	r, err := rows.Load(rig.t.Context(), rows.Key(number))
	if err != nil {
		rig.t.Fatal(err)
	}
	sends, wrong = make(map[string]int), make(map[string]int)
	for _, tally := range r.Tallies {
		for _, name := range []string{tally.Client + " " + tally.Origin.String(), tally.Origin.String(), "all", fmt.Sprintf("network %x", tally.Network)} {
			if tally.Origin == otp.OriginTyped || !strings.HasPrefix(name, "network") {
				sends[name] += len(tally.Sends)
				wrong[name] += len(tally.Failures)
			}
		}
	}
	return sends, wrong
}

// wantWithin fails the test unless the counts are within the table of limits.
func wantWithin(t *testing.T, what string, counts map[string]int, perServer, typed, perNetwork, all int) {
	t.Helper()
	for name, n := range counts {
		most := typed
		switch {
		case name == "all":
			most = all
		case name == "server":
			most = all
		case strings.HasSuffix(name, "server"):
			most = perServer
		case strings.HasPrefix(name, "network"):
			most = perNetwork
		}
		if n > most {
			t.Errorf("%d %s of %s, want %d at most", n, what, name, most)
		}
	}
}

// 200 calls at the same time, to two processes, by three apps with both origins: the messages
// and the wrong codes that are counted stay within each row of the table, and what was
// answered was counted.
func TestR17_R26_TheTableHoldsForParallelCalls(t *testing.T) {
	rig := newRig(t)
	a := newApps(t, nil, "bank", "shop", "pay")
	p := rig.pair(noPause, longCodes, letters, a.setting, "TWOFA_MAX_SENDS=100", "TWOFA_MAX_CHECKS=100")
	call := func(i int, s sender, path string, body fields) reply {
		body["origin"] = s.origin
		return a.as(p[i%2].client, s.app).post(path, body)
	}
	number := newNumber()
	send := func(i int, s sender) reply {
		return call(i, s, "/api/otpsend", fields{"to": number, "client_ip": s.ip, "purpose": "p" + fmt.Sprint(i%3)})
	}
	replies := concurrently(200, func(i int) reply { return send(i/8, senders[i%8]) })
	n := count(replies)
	t.Log(n)
	if n["201"]+n["429 too_many_sends"]+n["503 storage_unavailable"] != 200 {
		t.Errorf("answered %v", n)
	}
	check := func() {
		t.Helper()
		sends, _ := rig.tallies(number)
		wantWithin(t, "messages", sends, 20, 5, 2, 40)
		if answered := n["201"]; answered > sends["all"] || sends["all"] > answered+n["503 storage_unavailable"] || len(rig.sentCodes(number)) > sends["all"] {
			t.Errorf("%d messages are counted, %d were answered %v, %d reached the number", sends["all"], answered, n, len(rig.sentCodes(number)))
		}
	}
	check()
	for i, s := range senders { // one after the other, until the table is full
		for r := send(i, s); r.status != 429; r = send(i, s) {
			n[r.String()]++
		}
	}
	check()
	if sends, _ := rig.tallies(number); sends["all"] != 40 {
		t.Errorf("%v messages are counted, want 40 in all", sends)
	}

	number = newNumber()
	began := make(map[sender]reply)
	for i, s := range senders[:5] {
		began[s] = want(t, send(3*i, s), "201")
	}
	guess := func(i int, s sender) reply {
		return call(i, s, "/api/otpverify", fields{"id": began[s].text("id"), "code": "AAAAAAAAAA"})
	}
	replies = concurrently(200, func(i int) reply { return guess(i/5, senders[i%5]) })
	n = count(replies)
	t.Log(n)
	if n["422 wrong_code"]+n["429 too_many_checks"]+n["503 storage_unavailable"] != 200 {
		t.Errorf("answered %v", n)
	}
	for i, s := range senders[:5] {
		for r := guess(i, s); r.status != 429; r = guess(i, s) {
			n[r.String()]++
		}
	}
	_, wrong := rig.tallies(number)
	wantWithin(t, "wrong codes", wrong, 10, 10, 10, 30)
	if answered := n["422 wrong_code"]; wrong["all"] != 30 || answered > 30 || answered+n["503 storage_unavailable"] < 30 {
		t.Errorf("%v wrong codes are counted and %d were answered, want 30 in all", wrong, answered)
	}
}

// 200 calls of one app at the same time, to two processes, against another app's number: the
// other app's verification is as it was, and its code is approved.
func TestR17_ParallelCallsOfOneAppDoNotReachAnother(t *testing.T) {
	rig := newRig(t)
	a := newApps(t, nil, "bank", "shop")
	p := rig.pair(longCodes, letters, a.setting)
	number := newNumber()
	bank, shop := a.as(p[0].client, "bank"), [2]*client{a.as(p[0].client, "shop"), a.as(p[1].client, "shop")}
	id, code := rig.start(bank, number)
	before := want(t, bank.status(id), "200")
	n := count(concurrently(200, func(i int) reply {
		c := shop[i%2]
		switch i / 2 % 5 {
		case 0:
			return c.post("/api/otpsend", fields{"to": number})
		case 1:
			return c.check(fields{"to": number, "code": code})
		case 2:
			return c.check(fields{"id": id, "code": code})
		case 3:
			return c.do("DELETE", "/api/otpsend/"+id, "", "")
		}
		return c.do("POST", "/api/otpsend/"+id, "", "")
	}))
	t.Log(n)
	if n["200"] > 0 || n["404 not_found"] < 100 || n["201"] > 1 {
		t.Errorf("answered %v", n)
	}
	if after := want(t, bank.status(id), "200"); after.body != before.body {
		t.Errorf("the verification was\n%s and is\n%s", before.body, after.body)
	}
	want(t, bank.check(fields{"to": number, "code": code}), "200")
}
