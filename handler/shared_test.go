package handler_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

// The log of a limit that callers share names who used it up; no answer does.
func TestTheLogNamesWhoUsedASharedLimitUp(t *testing.T) {
	t.Parallel()
	r := newRig(t).noPause().withClients(entry("bank", "send"), entry("shop", "send"))
	r.as("shop", "POST", "/api/otpsend", typeJSON, object("to", alice, "origin", "typed")).want(201)
	r.as("bank", "POST", "/api/otpsend", typeJSON, object("to", alice, "origin", "typed")).want(201)
	res := r.as("bank", "POST", "/api/otpsend", typeJSON, object("to", alice, "origin", "typed")).problem(429, problem.TooManySends)
	if strings.Contains(res.body, "shop") || strings.Contains(strings.Join(slices.Collect(maps.Keys(res.object())), " "), "left") {
		t.Errorf("the answer is %s", res.body)
	}
	line := r.lastLine()
	if text, _ := line["error"].(string); !strings.HasSuffix(text, "was used up by shop typed 1, bank typed 1") || line["client"] != "bank" {
		t.Errorf("the log has %v", line)
	}
}

// Attack 22. A stranger spends all that a typed address has. The bank's own server sends and
// approves, the person's app works, and the lock ends by itself when it was said to.
func TestAttack22_R26_AStrangerLocksTheTypedAddressOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t).noPause().withClients(entry("bank", "send", "check", "users"), entry("shop", "send", "check"))
	typed := func(client, ip string) *response {
		return r.as(client, "POST", "/api/otpsend", typeJSON, object("to", alice, "origin", "typed", "client_ip", ip))
	}
	r.as("bank", "PUT", "/api/users/alice", typeJSON, object("phone", alice)).want(201)
	for _, client := range []string{"bank", "shop"} {
		id := typed(client, "203.0.113.7").want(201).text("id")
		for range 5 {
			r.as(client, "POST", "/api/otpverify", typeJSON, object("id", id, "code", r.Wrong(otp.ID(id)))).problem(422, problem.WrongCode)
		}
	}
	locked := typed("shop", "198.51.100.9").problem(429, problem.TooManyChecks)
	wait := time.Duration(locked.number("retry_after")) * time.Second
	for _, target := range []string{object("to", alice), object("user", "alice", "purpose", "pay"), object("to", alice, "channel", string(channel.SMS))} {
		id := r.as("bank", "POST", "/api/otpsend", typeJSON, target).want(201).text("id")
		r.as("bank", "POST", "/api/otpverify", typeJSON, object("id", id, "code", r.Code(otp.ID(id)))).want(200)
	}
	e := r.as("bank", "POST", "/api/users/alice/totp", "", "").want(201)
	r.as("bank", "POST", "/api/users/alice/totp/confirm", typeJSON, object("code", r.shows(e.text("uri")))).want(200)

	r.Advance(wait - 1)
	typed("shop", "198.51.100.9").problem(429, problem.TooManyChecks)
	r.Advance(1)
	id := typed("shop", "198.51.100.9").want(201).text("id")
	r.as("shop", "POST", "/api/otpverify", typeJSON, object("id", id, "code", r.Code(otp.ID(id)))).want(200)
}

// Attack 7. One number through many purposes, users, spellings, channels and callers: all of
// them together send 40 messages in a day, and 10 in ten minutes.
func TestAttack07_OneNumberThroughManyCallersHasOneCap(t *testing.T) {
	t.Parallel()
	clients := []string{"a", "b", "c", "d"}
	r := newRig(t).noPause()
	entries := []string{inDirectory("other", "d", "send", "users")}
	for _, id := range clients[:3] {
		entries = append(entries, entry(id, "send", "users"))
	}
	r.withClients(entries...)
	var targets [][]string
	for _, spelling := range []string{alice, "+1 (415) 555-0123", "tel:+1-415-555-0123", "+1.415.555.0123;ext="} {
		targets = append(targets, []string{"to", spelling})
	}
	for i := range 6 {
		name := fmt.Sprintf("user-%d", i)
		for _, client := range []string{"a", "d"} {
			r.as(client, "PUT", "/api/users/"+name, typeJSON, object("phone", alice)).want(201)
		}
		targets = append(targets, []string{"user", name})
	}
	sent := r.Sent()
	send := func(i int) {
		t.Helper()
		body := slices.Concat(targets[i%len(targets)], []string{"purpose", fmt.Sprint("p", i%5), "channel", []string{"whatsapp", "sms"}[i%2]})
		if i%3 == 0 {
			body = append(body, "origin", "typed", "client_ip", fmt.Sprintf("203.0.%d.7", i%200))
		}
		res := r.as(clients[i%4], "POST", "/api/otpsend", typeJSON, object(body...))
		if res.status != 201 && res.status != 429 && !(res.status == 400 && strings.HasSuffix(body[1], "=")) {
			t.Errorf("%q: %d %s", body, res.status, res.body)
		}
	}
	for i := range 60 {
		r.Advance(5 * time.Second)
		send(i)
	}
	wantEqual(t, "messages in 5 minutes", r.Sent()-sent, 10)
	for i := range 23 * 60 / 5 {
		r.Advance(5 * time.Minute)
		send(7 * i)
	}
	wantEqual(t, "messages in a day", r.Sent()-sent, 40)
}
