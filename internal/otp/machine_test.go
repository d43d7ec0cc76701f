package otp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/store"
)

// model is the service as one would first write it: plain lists, nothing
// shared with the implementation, and no care for speed.
type model struct {
	p        otp.Policy
	sends    []time.Time
	failures []time.Time
	all      []*entry // oldest first
}

type entry struct {
	id               otp.ID
	purpose          string
	context          otp.Context
	code             string
	status           otp.Status
	made, dies, over time.Time
	wrong            int
}

// tick brings the model to now, as the service does with every request.
func (m *model) tick(now time.Time) {
	day := 24 * time.Hour
	for _, events := range []*[]time.Time{&m.sends, &m.failures} {
		var keep []time.Time
		for _, e := range *events {
			if latest := now.Add(2 * time.Minute); e.After(latest) {
				e = latest
			}
			if now.Before(e.Add(day)) {
				keep = append(keep, e)
			}
		}
		*events = keep
	}
	var keep []*entry
	for _, e := range m.all {
		if e.status == "pending" && !e.dies.After(now) {
			e.status, e.over = "expired", e.dies
		}
		if e.status == "pending" && e.made.Sub(now) > 2*time.Minute {
			e.status, e.over = "expired", e.dies
		}
		if latest := now.Add(2 * time.Minute); e.over.After(latest) {
			e.over = latest
		}
		if e.status == "pending" || now.Before(e.over.Add(day)) {
			keep = append(keep, e)
		}
	}
	m.all = keep
}

func (m *model) find(id otp.ID) *entry {
	for _, e := range m.all {
		if e.id == id {
			return e
		}
	}
	return nil
}

// judged is the events as they count at now: one of the future as one of now.
func judged(events []time.Time, now time.Time) []time.Time {
	events = slices.Clone(events)
	for i, e := range events {
		if e.After(now) {
			events[i] = now
		}
	}
	return events
}

// noted adds an event of now, or of the last event where the clock is behind it.
func noted(events []time.Time, now time.Time) []time.Time {
	for _, e := range events {
		if e.After(now) {
			now = e
		}
	}
	return append(events, now)
}

// refusal says which rule is against a send at that time, "" for none.
func (m *model) refusal(at time.Time) otp.Kind {
	within := func(events []time.Time, window time.Duration) (n int) {
		for _, e := range events {
			if at.Sub(e) < window {
				n++
			}
		}
		return n
	}
	switch {
	case within(m.failures, 24*time.Hour) >= m.p.MaxFailuresPerDay:
		return otp.TooManyChecks
	case within(m.sends, 24*time.Hour) >= m.p.MaxSendsPerDay, within(m.sends, 10*time.Minute) >= m.p.MaxSends:
		return otp.TooManySends
	case within(m.sends, m.p.ResendAfter) >= 1:
		return otp.ResendTooSoon
	}
	return ""
}

// maySend says whether a send is refused, for which reason and for how long:
// it tries each time at which some rule could be over.
func (m *model) maySend(now time.Time) (otp.Kind, time.Duration) {
	m = &model{p: m.p, sends: judged(m.sends, now), failures: judged(m.failures, now)}
	if m.refusal(now) == "" {
		return "", 0
	}
	var ends []time.Time
	for _, e := range append(slices.Clone(m.sends), m.failures...) {
		ends = append(ends, e.Add(24*time.Hour), e.Add(10*time.Minute), e.Add(m.p.ResendAfter))
	}
	slices.SortFunc(ends, time.Time.Compare)
	for _, end := range ends {
		if end.After(now) && m.refusal(end) == "" {
			return m.refusal(end.Add(-1)), end.Sub(now)
		}
	}
	panic("a rule without an end")
}

func (m *model) start(id otp.ID, purpose string, c otp.Context, now time.Time) (otp.Kind, time.Duration) {
	if kind, wait := m.maySend(now); kind != "" {
		return kind, wait
	}
	others, first := 0, time.Time{}
	for _, e := range m.all {
		if e.status == "pending" && e.purpose != purpose {
			others++
			if first.IsZero() || e.dies.Before(first) {
				first = e.dies
			}
		}
	}
	if others >= 4 {
		return otp.TooManySends, first.Sub(now)
	}
	for _, e := range m.all {
		if e.status == "pending" && e.purpose == purpose {
			e.status, e.over = "canceled", now
		}
	}
	dies := now.Add(m.p.TTL)
	dies = dies.Add(-time.Duration(dies.Nanosecond()))
	m.all = append(m.all, &entry{id: id, purpose: purpose, context: c, status: "pending", made: now, dies: dies})
	m.sends = noted(m.sends, now)
	for len(m.all) > 8 {
		for i, e := range m.all {
			if e.status != "pending" {
				m.all = append(m.all[:i:i], m.all[i+1:]...)
				break
			}
		}
	}
	return "", 0
}

// usable says why a verification cannot be used, "" if it can.
func (e *entry) usable() otp.Kind {
	if e == nil {
		return otp.NotFound
	}
	return map[otp.Status]otp.Kind{
		"approved": otp.AlreadyUsed, "canceled": otp.KindCanceled, "expired": otp.KindExpired,
		"exhausted": otp.TooManyChecks, "undeliverable": otp.KindUndeliverable,
	}[e.status]
}

func (m *model) resend(id otp.ID, now time.Time) (otp.Kind, time.Duration) {
	e := m.find(id)
	if kind := e.usable(); kind != "" {
		return kind, 0
	}
	if now.Add(30 * time.Second).After(e.dies) {
		return otp.KindExpired, 0
	}
	if kind, wait := m.maySend(now); kind != "" {
		return kind, wait
	}
	m.sends = noted(m.sends, now)
	return "", 0
}

func (m *model) check(id otp.ID, code string, c otp.Context, now time.Time) (otp.Kind, time.Duration) {
	e := m.find(id)
	if kind := e.usable(); kind != "" {
		return kind, 0
	}
	if n := len(m.failures); n >= m.p.MaxFailuresPerDay {
		return otp.TooManyChecks, judged(m.failures, now)[n-m.p.MaxFailuresPerDay].Add(24 * time.Hour).Sub(now)
	}
	if code == e.code && c == e.context {
		e.status, e.over = "approved", now
		return "", 0
	}
	m.failures = noted(m.failures, now)
	if e.wrong++; e.wrong == m.p.MaxChecks {
		e.status, e.over = "exhausted", now
	}
	return otp.WrongCode, 0
}

func (m *model) end(id otp.ID, status otp.Status, now time.Time) otp.Kind {
	e := m.find(id)
	if status == "canceled" && e != nil && e.status == "canceled" {
		return ""
	}
	if kind := e.usable(); kind != "" {
		return kind
	}
	e.status, e.over = status, now
	return ""
}

// machine runs the domain and the model side by side. clock is what the service
// sees; passed is how much time has really gone by.
type machine struct {
	bench
	model  model
	passed time.Duration
	ids    []otp.ID

	approvals map[otp.ID]int
	failedAt  []time.Duration // in real time, as sentAt
	sentAt    []time.Duration
	largest   *int
}

func (m *machine) anyID(t *rapid.T) otp.ID {
	if len(m.ids) == 0 {
		return newID(alice, 0)
	}
	// The newest ones are the interesting ones.
	back := rapid.IntRange(0, min(len(m.ids)-1, 9)).Draw(t, "back")
	return m.ids[len(m.ids)-1-back]
}

func (m *machine) agree(t *rapid.T, what string, err error, want otp.Kind, wait time.Duration) {
	t.Helper()
	got, gotWait := kindOf(t, err), time.Duration(0)
	if err != nil {
		gotWait = refusal(t, err).RetryAfter
	}
	if got != want || gotWait != wait {
		t.Fatalf("%s at %v: got %q after %v, the model says %q after %v", what, m.now, got, gotWait, want, wait)
	}
}

func (m *machine) Start(t *rapid.T) {
	purpose := fmt.Sprintf("p%d", rapid.IntRange(0, 5).Draw(t, "purpose"))
	c := rapid.SampledFrom([]otp.Context{{}, {Amount: "EUR 5", Payee: "Acme"}}).Draw(t, "context")
	req := m.request(alice, purpose, c)
	r, v, err := otp.Start(m.r, req, m.p, m.now)
	m.r = r
	m.model.tick(m.now)
	kind, wait := m.model.start(req.ID, purpose, c, m.now)
	m.agree(t, "start "+purpose, err, kind, wait)
	if err == nil {
		m.model.find(req.ID).code = codeOf(t, v)
		m.ids = append(m.ids, v.ID)
		m.sentAt = append(m.sentAt, m.passed)
	}
}

func (m *machine) Resend(t *rapid.T) {
	id := m.anyID(t)
	r, _, err := otp.Resend(m.r, id, "sms", m.p, m.now)
	m.r = r
	m.model.tick(m.now)
	kind, wait := m.model.resend(id, m.now)
	m.agree(t, "resend", err, kind, wait)
	if err == nil {
		m.sentAt = append(m.sentAt, m.passed)
	}
}

func (m *machine) CheckRight(t *rapid.T) { m.checkOne(t, true) }
func (m *machine) CheckWrong(t *rapid.T) { m.checkOne(t, false) }

func (m *machine) checkOne(t *rapid.T, right bool) {
	req := otp.CheckRequest{ID: m.anyID(t), Code: "000000"}
	if e := m.model.find(req.ID); e != nil {
		req.Code, req.Context = e.code, e.context
		switch {
		case right:
		case rapid.Bool().Draw(t, "wrong context"):
			req.Context.Payee += "!"
		default:
			req.Code = wrongCode(e.code)
		}
	}
	r, v, err := otp.Check(m.r, req, keyring, m.p, m.now)
	m.r = r
	m.model.tick(m.now)
	kind, wait := m.model.check(req.ID, req.Code, req.Context, m.now)
	m.agree(t, "check", err, kind, wait)
	switch kind {
	case "":
		m.approvals[v.ID]++
		if m.approvals[v.ID] > 1 {
			t.Fatalf("%s was approved %d times", v.ID, m.approvals[v.ID])
		}
		if !m.now.Before(v.ExpiresAt) {
			t.Fatalf("%s was approved at %v, it expired at %v", v.ID, m.now, v.ExpiresAt)
		}
	case otp.WrongCode:
		m.failedAt = append(m.failedAt, m.passed)
	}
}

func (m *machine) Cancel(t *rapid.T) {
	id := m.anyID(t)
	r, _, err := otp.Cancel(m.r, id, m.now)
	m.r = r
	m.model.tick(m.now)
	m.agree(t, "cancel", err, m.model.end(id, "canceled", m.now), 0)
}

func (m *machine) FailDelivery(t *rapid.T) {
	id := m.anyID(t)
	r, _, err := otp.FailDelivery(m.r, id, m.now)
	m.r = r
	m.model.tick(m.now)
	m.agree(t, "fail delivery", err, m.model.end(id, "undeliverable", m.now), 0)
}

func (m *machine) Wait(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		ms, 999 * ms, time.Second, 30 * time.Second, time.Minute, 10 * time.Minute, 3 * time.Hour, 24 * time.Hour,
	}).Draw(t, "time")
	m.now, m.passed = m.now.Add(d), m.passed+d
}

// WaitForAnEdge goes to a millisecond before, at, or after the next expiry, or
// the time from which on a resend is too late.
func (m *machine) WaitForAnEdge(t *rapid.T) {
	for _, e := range m.model.all {
		if e.status == "pending" && e.dies.After(m.now) {
			edge := e.dies.Add(-rapid.SampledFrom([]time.Duration{0, 30 * time.Second}).Draw(t, "left"))
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
	// The row decodes to itself, and the service goes on from what was kept.
	row := mustEncode(t, m.r)
	kept, err := otp.Decode(row)
	if err != nil || !same(kept, m.r) {
		t.Fatalf("kept %+v as %+v, %v", m.r, kept, err)
	}
	m.r = kept
	*m.largest = max(*m.largest, len(row))

	settled := m.r.Settle(m.now)
	if again := settled.Settle(m.now); !same(again, settled) {
		t.Fatalf("settled %+v\nand then %+v", settled, again)
	}

	if len(m.ids) > 0 { // the sets agree, too
		probe := model{p: m.p, sends: m.model.sends, failures: m.model.failures}
		for _, e := range m.model.all {
			c := *e
			probe.all = append(probe.all, &c)
		}
		probe.tick(m.now)
		if !slices.EqualFunc(settled.Verifications, probe.all, func(v otp.Verification, e *entry) bool {
			return v.ID == e.id && v.Status == e.status && v.ExpiresAt.Equal(e.dies) && v.EndedAt.Equal(e.over)
		}) {
			t.Fatalf("verifications are %+v, the model has other ones", settled.Verifications)
		}
		if !slices.EqualFunc(settled.Sends, probe.sends, time.Time.Equal) ||
			!slices.EqualFunc(settled.Failures, probe.failures, time.Time.Equal) {
			t.Fatalf("events are %v and %v, the model has %v and %v", settled.Sends, settled.Failures, probe.sends, probe.failures)
		}
	}

	until := m.r.KeepUntil()
	for _, v := range m.r.Verifications {
		if v.Status == otp.Pending && until.Before(v.ExpiresAt) {
			t.Fatalf("kept until %v, a verification lives until %v", until, v.ExpiresAt)
		}
	}
	for _, e := range append(slices.Clone(m.r.Sends), m.r.Failures...) {
		if until.Before(e.Add(24 * time.Hour)) {
			t.Fatalf("kept until %v, the event of %v counts for longer", until, e)
		}
	}

	// In real time, whatever the clock did.
	atMost(t, "failures", m.failedAt, m.p.MaxFailuresPerDay, 24*time.Hour)
	atMost(t, "sends", m.sentAt, m.p.MaxSendsPerDay, 24*time.Hour)
	atMost(t, "sends", m.sentAt, m.p.MaxSends, 10*time.Minute)
	atMost(t, "sends", m.sentAt, 1, m.p.ResendAfter)
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

func TestMachine_AgreesWithANaiveModelUnderAClockThatStepsBack(t *testing.T) {
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
			bench: *newBench(t, p), model: model{p: p}, approvals: map[otp.ID]int{}, largest: &largest,
		}
		t.Repeat(rapid.StateMachineActions(m))
	})
	t.Logf("the largest row had %d bytes of %d", largest, store.MaxData)
	if largest > store.MaxData/4 {
		t.Errorf("the largest row had %d bytes, want %d at most", largest, store.MaxData/4)
	}
}
