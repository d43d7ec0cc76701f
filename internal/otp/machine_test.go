package otp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
)

// machine runs the domain and the model side by side. rig.now is the clock of the
// service; passed is the real time since the start.
type machine struct {
	rig
	model  model
	passed time.Duration
	ids    []otp.ID

	approvals map[otp.ID]int
	claims    map[otp.ID]int
	ended     map[otp.ID]otp.Status
	automatic map[string]int  // messages that no client asked for, by id and channel
	failedAt  []time.Duration // in real time, as the fields below
	sentAt    []time.Duration
	alertedAt []time.Duration
	begunAt   map[string]time.Duration // of each message, by id and number
	largest   *int
}

// sent notes a message of now. The pause holds only if a client asked for it.
func (m *machine) sent(t *rapid.T, asked bool) {
	if n := len(m.sentAt); asked && n > 0 && m.passed-m.sentAt[n-1] < m.policy.ResendAfter {
		t.Fatalf("sent %v after the last message, the pause is %v", m.passed-m.sentAt[n-1], m.policy.ResendAfter)
	}
	m.sentAt = append(m.sentAt, m.passed)
}

func nth(id otp.ID, n int) string { return fmt.Sprintf("%s %d", id, n) }

func (m *machine) anyID(t *rapid.T) otp.ID {
	if len(m.ids) == 0 {
		return newID(fixture.Alice, 0)
	}
	// Old ones are mostly forgotten.
	back := rapid.IntRange(0, min(len(m.ids)-1, 9)).Draw(t, "back")
	return m.ids[len(m.ids)-1-back]
}

// modelNow is the model, brought to now as every transition settles its recipient.
func (m *machine) modelNow() *model {
	m.model.tick(m.now)
	return &m.model
}

func (m *machine) agree(t *rapid.T, what string, err error, want problem.Kind, wait time.Duration) {
	t.Helper()
	got, gotWait := kindOf(t, err), time.Duration(0)
	if err != nil {
		gotWait = wantKind(t, err, got).RetryAfter
	}
	if got != want || gotWait != wait {
		t.Fatalf("%s at %v: got %q after %v, the model says %q after %v", what, m.now, got, gotWait, want, wait)
	}
}

func (m *machine) Start(t *rapid.T) {
	purpose := fmt.Sprintf("p%d", rapid.IntRange(0, 5).Draw(t, "purpose"))
	c := rapid.SampledFrom([]otp.Transaction{{}, {Amount: "EUR 5", Payee: "Acme"}}).Draw(t, "context")
	req := m.request(fixture.Alice, purpose, c)
	req.Workflow, req.Other = anyWorkflow.Draw(t, "workflow"), fixture.AliceMail
	if rapid.IntRange(0, 4).Draw(t, "inbound") == 0 {
		req.Workflow = []channel.Channel{channel.Inbound}
	}
	req.Idempotency = m.anyKey(t)
	v, err := m.apply(req)
	kind, wait := m.modelNow().start(req, m.now)
	m.agree(t, "start "+purpose, err, kind, wait)
	if err == nil {
		m.model.find(req.ID).code = codeOf(t, v)
		m.ids = append(m.ids, v.ID)
		m.sent(t, true)
		m.begunAt[nth(v.ID, 1)] = m.passed
	}
}

func (m *machine) anyKey(t *rapid.T) (i otp.Idempotency) {
	if rapid.Bool().Draw(t, "idempotent") {
		m.nextID++
		i.Key[0], i.Key[1] = byte(m.nextID), byte(m.nextID>>8)
		i.Body[0] = 1
	}
	return i
}

func (m *machine) Resend(t *rapid.T) {
	id := m.anyID(t)
	c := rapid.SampledFrom([]channel.Channel{"", "next", "sms", "call"}).Draw(t, "channel")
	r, v, err := otp.Resend(m.kept, otp.ResendRequest{ID: id, Channel: c, Idempotency: m.anyKey(t)}, m.policy, m.now)
	m.kept = r
	kind, wait := m.modelNow().resend(id, c, m.now)
	m.agree(t, "resend", err, kind, wait)
	if err == nil {
		m.sent(t, true)
		m.begunAt[nth(id, len(v.Attempts))] = m.passed
	}
}

// Follow is any news of any message.
func (m *machine) Follow(t *rapid.T) {
	m.news(t, otp.Progress{
		ID: m.anyID(t), Attempt: rapid.IntRange(0, 6).Draw(t, "attempt"), Status: rapid.SampledFrom(allDeliveries).Draw(t, "news"),
		MayRecover: rapid.Bool().Draw(t, "may recover"), Next: anyNext.Draw(t, "next"),
	})
}

// Fail is the failure of the newest message, which leads to the next one.
func (m *machine) Fail(t *rapid.T) {
	g := otp.Progress{ID: m.anyID(t), Status: otp.Failed, MayRecover: rapid.Bool().Draw(t, "may recover")}
	if e := m.model.find(g.ID); e != nil {
		g.Attempt = len(e.messages)
	}
	if rapid.IntRange(0, 4).Draw(t, "usual") == 0 {
		g.Next = anyNext.Draw(t, "next")
	}
	// A provider that does not accept a message says so at once.
	at, known := m.begunAt[nth(g.ID, g.Attempt)]
	g.Unsent = known && at == m.passed && rapid.Bool().Draw(t, "unsent")
	m.news(t, g)
}

func (m *machine) news(t *rapid.T, g otp.Progress) {
	r, v, begun, err := otp.Follow(m.kept, g, m.policy, m.now)
	m.kept = r
	kind, wantBegun := m.modelNow().follow(g, m.now)
	m.agree(t, "follow", err, kind, 0)
	if begun != wantBegun {
		t.Fatalf("follow of %+v at %v: began %v, the model says %v", g, m.now, begun, wantBegun)
	}
	if !begun {
		return
	}
	n := len(v.Attempts)
	m.begunAt[nth(v.ID, n)] = m.passed
	if !g.Unsent {
		m.sent(t, false)
	}
	step := string(v.ID) + string(v.Attempts[n-1].Channel)
	if m.automatic[step]++; m.automatic[step] > 1 || !slices.Contains(v.Workflow, v.Attempts[n-1].Channel) {
		t.Fatalf("began %d messages by itself: %+v", m.automatic[step], v)
	}
}

// Spend is a message to this address for a verification in another row.
func (m *machine) Spend(t *rapid.T) {
	err := m.spend(fixture.Alice)
	kind, wait := m.modelNow().spend(m.now)
	m.agree(t, "spend", err, kind, wait)
	if err == nil {
		m.sent(t, false)
	}
}

func (m *machine) Deny(t *rapid.T) {
	_, err := m.deny()
	m.agree(t, "deny", err, m.modelNow().deny(m.now), 0)
}

// Confirm is a message with the code of any verification, or none.
func (m *machine) Confirm(t *rapid.T) {
	code := "000000"
	if e := m.model.find(m.anyID(t)); e != nil && rapid.Bool().Draw(t, "right") {
		code = e.code
	}
	v, err := m.confirm(code, "no")
	m.agree(t, "confirm", err, m.modelNow().confirm(code, m.now), 0)
	if err == nil {
		m.approved(t, v)
	}
}

func (m *machine) Claim(t *rapid.T) {
	req := otp.CheckRequest{ID: m.anyID(t)}
	if e := m.model.find(req.ID); e != nil && rapid.IntRange(0, 3).Draw(t, "right") > 0 {
		req.Transaction = e.context
	}
	v, err := m.claim(req)
	kind, wait, alert := m.modelNow().claim(req.ID, req.Transaction, m.now)
	m.agree(t, "claim", err, kind, wait)
	m.wrongCode(t, err, kind, alert)
	if err == nil {
		if m.claims[v.ID]++; m.claims[v.ID] > 1 || m.approvals[v.ID] != 1 {
			t.Fatalf("%s was claimed %d times, and approved %d times", v.ID, m.claims[v.ID], m.approvals[v.ID])
		}
	}
}

// approved notes an approval, of which each verification has one at most, while
// it lives.
func (m *machine) approved(t *rapid.T, v otp.Verification) {
	if m.approvals[v.ID]++; m.approvals[v.ID] > 1 {
		t.Fatalf("%s was approved %d times", v.ID, m.approvals[v.ID])
	}
	if !m.now.Before(v.ExpiresAt) {
		t.Fatalf("%s was approved at %v, it expired at %v", v.ID, m.now, v.ExpiresAt)
	}
}

func (m *machine) CheckRight(t *rapid.T) { m.checkOne(t, true) }
func (m *machine) CheckWrong(t *rapid.T) { m.checkOne(t, false) }

func (m *machine) checkOne(t *rapid.T, right bool) {
	// The second address has tries left.
	req := otp.CheckRequest{ID: m.anyID(t), Code: "000000", Reserved: &otp.Reservation{Address: fixture.AliceMail, Left: otp.MaxCounted}}
	if e := m.model.find(req.ID); e != nil {
		req.Code, req.Transaction = e.code, e.context
		switch {
		case right:
		case rapid.Bool().Draw(t, "wrong context"):
			req.Transaction.Payee += "!"
		default:
			req.Code = wrongCode(e.code)
		}
	}
	r, v, err := otp.Check(m.kept, req, keyring, m.policy, m.now)
	m.kept = r
	kind, wait, alert := m.modelNow().check(req.ID, req.Code, req.Transaction, m.now)
	m.agree(t, "check", err, kind, wait)
	if m.wrongCode(t, err, kind, alert); kind == "" {
		m.approved(t, v)
	}
}

// wrongCode notes a wrong code or context, and the alert that it asks for.
func (m *machine) wrongCode(t *rapid.T, err error, kind problem.Kind, alert bool) {
	alerted := false
	if err != nil && wantKind(t, err, kind).Alerted {
		var held error
		m.kept, held = otp.Alert(m.kept, fixture.Alice, server, m.now)
		alerted = held == nil
	}
	if alerted != alert {
		t.Fatalf("alert at %v: %v, the model says %v", m.now, alerted, alert)
	}
	if kind != problem.WrongCode {
		return
	}
	m.failedAt = append(m.failedAt, m.passed)
	if alert {
		m.alertedAt = append(m.alertedAt, m.passed)
	}
}

func (m *machine) Cancel(t *rapid.T) {
	id := m.anyID(t)
	r, _, err := otp.Cancel(m.kept, otp.Owner{}, id, m.now)
	m.kept = r
	m.agree(t, "cancel", err, m.modelNow().end(id, "canceled", m.now), 0)
}

func (m *machine) Wait(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		ms, 999 * ms, time.Second, 30 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 24 * time.Hour, 45 * 24 * time.Hour,
	}).Draw(t, "time")
	m.now, m.passed = m.now.Add(d), m.passed+d
}

// WaitForAnEdge goes to a millisecond before, at, or after the next expiry, or
// the time from which on a resend is too late.
func (m *machine) WaitForAnEdge(t *rapid.T) {
	for _, e := range m.model.all {
		if e.status == "pending" && e.dies.After(m.now) {
			edge := e.dies.Add(-rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "left"))
			edge = edge.Add(rapid.SampledFrom([]time.Duration{-ms, 0, ms}).Draw(t, "around"))
			d := max(0, edge.Sub(m.now))
			m.now, m.passed = m.now.Add(d), m.passed+d
			return
		}
	}
	t.Skip("nothing is pending")
}

// StepBack is a clock that was set back; no time passes.
func (m *machine) StepBack(t *rapid.T) {
	m.now = m.now.Add(-rapid.SampledFrom([]time.Duration{
		ms, time.Second, time.Minute, 3 * time.Minute, time.Hour, 25 * time.Hour,
	}).Draw(t, "step"))
}

// Check holds after every step.
func (m *machine) Check(t *rapid.T) {
	// The row decodes to the same recipient, with which the test continues.
	row := mustEncode(t, m.kept)
	kept, err := recipient.Decode(row)
	if err != nil || !same(kept, m.kept) {
		t.Fatalf("kept %+v as %+v, %v", m.kept, kept, err)
	}
	m.kept = kept
	*m.largest = max(*m.largest, len(row))

	settled := m.kept.Settle(m.now)
	if again := settled.Settle(m.now); !same(again, settled) {
		t.Fatalf("settled %+v\nand then %+v", settled, again)
	}

	m.likeTheModel(t, settled)
	keptLongEnough(t, settled)
	for _, v := range settled.Verifications {
		unfetched := m.ended[v.ID] == otp.Approved && v.Inbound() && m.claims[v.ID] == 0 // may still be exhausted
		if was := m.ended[v.ID]; was != "" && v.Status != was && !unfetched {
			t.Fatalf("%s was %s and is %s", v.ID, was, v.Status)
		}
	}
	for _, v := range m.kept.Verifications { // as kept: a settled one may be pending in the row
		if v.Status != otp.Pending {
			m.ended[v.ID] = v.Status
		}
	}
	if len(m.kept.Replays) > 64 {
		t.Fatalf("%d replays", len(m.kept.Replays))
	}

	// In real time, not by the clock, which may step back.
	atMost(t, "failures", m.failedAt, m.policy.MaxFailuresPerDay, 24*time.Hour)
	atMost(t, "sends", m.sentAt, m.policy.MaxSendsPerDay, 24*time.Hour)
	atMost(t, "sends", m.sentAt, m.policy.MaxSends, 10*time.Minute)
	atMost(t, "alerts", m.alertedAt, 1, time.Hour)
}

// likeTheModel fails unless the settled recipient equals the model at now.
func (m *machine) likeTheModel(t *rapid.T, settled otp.Recipient) {
	t.Helper()
	probe := m.model
	probe.all = nil
	for _, e := range m.model.all {
		c := *e
		probe.all = append(probe.all, &c)
	}
	probe.tick(m.now)
	if !slices.EqualFunc(settled.Verifications, probe.all, func(v otp.Verification, e *entry) bool {
		return v.ID == e.id && v.Status == e.status && v.ExpiresAt.Equal(e.dies) && v.EndedAt.Equal(e.over) &&
			v.Claimed == e.claimed && slices.Equal(v.Workflow, e.workflow) &&
			slices.EqualFunc(v.Attempts, e.messages, func(a otp.Attempt, x message) bool {
				return a.Channel == x.channel && a.Status == x.status && a.MayRecover == x.recover
			})
	}) {
		t.Fatalf("verifications are %+v, the model has other ones", settled.Verifications)
	}
	if !slices.EqualFunc(settled.Tally(server).Sends, probe.sends, time.Time.Equal) ||
		!slices.EqualFunc(settled.Tally(server).Failures, probe.failures, time.Time.Equal) {
		t.Fatalf("events are %v and %v, the model has %v and %v", settled.Tally(server).Sends, settled.Tally(server).Failures, probe.sends, probe.failures)
	}
	if !settled.Tally(server).AlertedAt.Equal(probe.alerted) || !settled.BlockedUntil.Equal(probe.blocked) ||
		!slices.EqualFunc(settled.Preferred, []otp.Preferred{probe.preferred}, func(a, b otp.Preferred) bool { return a == b }) && (len(settled.Preferred) > 0 || probe.preferred != otp.Preferred{}) {
		t.Fatalf("alert, block and preferred channel of %+v, the model has %v, %v, %+v",
			settled, probe.alerted, probe.blocked, probe.preferred)
	}
}

// atMost fails if some window holds more than limit of the times.
func atMost(t *rapid.T, what string, times []time.Duration, limit int, window time.Duration) {
	t.Helper()
	for i := limit; i < len(times); i++ {
		if gap := times[i] - times[i-limit]; gap < window {
			t.Fatalf("%d %s within %v, want %d at most within %v", limit+1, what, gap, limit, window)
		}
	}
}

func TestMachine_AgreesWithASimpleModelUnderAClockThatStepsBack(t *testing.T) {
	largest := 0
	rapid.Check(t, func(t *rapid.T) {
		p := otp.DefaultPolicy()
		if rapid.Bool().Draw(t, "small limits") { // reached within few steps
			p.MaxChecks = rapid.IntRange(1, 3).Draw(t, "checks")
			p.MaxFailuresPerDay = rapid.IntRange(1, 4).Draw(t, "failures")
			p.MaxSends = rapid.IntRange(1, 5).Draw(t, "sends")
			p.MaxSendsPerDay = rapid.IntRange(1, 8).Draw(t, "sends a day")
		} else if rapid.Bool().Draw(t, "large limits") { // full rows
			p.MaxSends, p.MaxSendsPerDay, p.MaxFailuresPerDay = 100, 100, 100
		}
		p.ResendAfter = rapid.SampledFrom([]time.Duration{0, 30 * time.Second, time.Hour}).Draw(t, "pause")
		m := &machine{
			rig: *newRig(t, p), model: model{p: p}, largest: &largest,
			approvals: map[otp.ID]int{}, claims: map[otp.ID]int{}, ended: map[otp.ID]otp.Status{},
			automatic: map[string]int{}, begunAt: map[string]time.Duration{},
		}
		t.Repeat(rapid.StateMachineActions(m))
	})
	t.Logf("the largest row had %d bytes of %d", largest, store.MaxData)
	if largest > store.MaxData/2 {
		t.Errorf("the largest row had %d bytes, want %d at most", largest, store.MaxData/2)
	}
}
