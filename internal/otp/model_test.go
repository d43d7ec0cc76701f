package otp_test

import (
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

// model is the simplest form of the service: plain lists, no code of the
// implementation, and not fast.
type model struct {
	p         otp.Policy
	sends     []time.Time
	failures  []time.Time
	notices   []time.Time
	alerted   time.Time
	blocked   time.Time // until then
	preferred otp.Preferred
	all       []*entry // oldest first
}

type entry struct {
	id               otp.ID
	purpose          string
	context          otp.Transaction
	code             string
	status           otp.Status
	made, dies, over time.Time
	wrong            int
	workflow         []channel.Channel
	messages         []message
	claimed          bool
}

type message struct {
	channel channel.Channel
	status  otp.DeliveryStatus
	recover bool
}

func (e *entry) inbound() bool { return e.workflow[0] == "inbound" }

// tick brings the model to now, as the service does with every request.
func (m *model) tick(now time.Time) {
	day := 24 * time.Hour
	for _, events := range []*[]time.Time{&m.sends, &m.failures, &m.notices} {
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
	latest := now.Add(2 * time.Minute)
	if m.alerted.After(latest) {
		m.alerted = latest
	}
	if !now.Before(m.alerted.Add(time.Hour)) {
		m.alerted = time.Time{}
	}
	if m.blocked.After(latest.Add(time.Hour)) {
		m.blocked = latest.Add(time.Hour)
	}
	if !m.blocked.After(now) {
		m.blocked = time.Time{}
	}
	if m.preferred.At.After(latest) {
		m.preferred.At = latest
	}
	if !now.Before(m.preferred.At.Add(90 * day)) {
		m.preferred = otp.Preferred{}
	}
	var keep []*entry
	for _, e := range m.all {
		if e.status == "pending" && !e.dies.After(now) {
			e.status, e.over = "expired", e.dies
		}
		if e.status == "pending" && e.made.Sub(now) > 2*time.Minute {
			e.status, e.over = "expired", e.dies
		}
		if e.over.After(latest) {
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

// judged returns the events as they count at now: a later one counts as of now.
func judged(events []time.Time, now time.Time) []time.Time {
	events = slices.Clone(events)
	for i, e := range events {
		if e.After(now) {
			events[i] = now
		}
	}
	return events
}

// noted adds an event of now, or of the last event if that is later.
func noted(events []time.Time, now time.Time) []time.Time {
	for _, e := range events {
		if e.After(now) {
			now = e
		}
	}
	return append(events, now)
}

// refusal says which rule refuses a send at that time, "" for none.
func (m *model) refusal(at time.Time) problem.Kind {
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
		return problem.TooManyChecks
	case within(m.sends, 24*time.Hour) >= m.p.MaxSendsPerDay, within(m.sends, 10*time.Minute) >= m.p.MaxSends:
		return problem.TooManySends
	case m.blocked.After(at):
		return problem.DestinationRefused
	case within(m.sends, m.p.ResendAfter) >= 1:
		return problem.ResendTooSoon
	}
	return ""
}

// maySend says for which reason and for how long a send is refused, "" if it is
// not. It tries each time at which a rule could be over.
func (m *model) maySend(now time.Time) (problem.Kind, time.Duration) {
	m = &model{p: m.p, sends: judged(m.sends, now), failures: judged(m.failures, now), blocked: m.blocked}
	if m.refusal(now) == "" {
		return "", 0
	}
	ends := []time.Time{m.blocked}
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

// mayFollow is maySend without the pause.
func (m *model) mayFollow(now time.Time) (problem.Kind, time.Duration) {
	without := *m
	without.p.ResendAfter = 0
	return without.maySend(now)
}

func (m *model) start(req otp.StartRequest, now time.Time) (problem.Kind, time.Duration) {
	if kind, wait := m.maySend(now); kind != "" {
		return kind, wait
	}
	others, first := 0, time.Time{}
	for _, e := range m.all {
		if e.status == "pending" && e.purpose != req.Purpose {
			others++
			if first.IsZero() || e.dies.Before(first) {
				first = e.dies
			}
		}
	}
	if others >= 4 {
		return problem.TooManySends, first.Sub(now)
	}
	for _, e := range m.all {
		if e.status == "pending" && e.purpose == req.Purpose {
			e.status, e.over = "canceled", now
		}
	}
	dies := now.Add(m.p.TTL)
	dies = dies.Add(-time.Duration(dies.Nanosecond()))
	e := &entry{id: req.ID, purpose: req.Purpose, context: req.Transaction, status: "pending", made: now, dies: dies}
	if slices.Contains(req.Workflow, m.preferred.Channel) {
		e.workflow = []channel.Channel{m.preferred.Channel}
	}
	for _, c := range req.Workflow {
		if len(e.workflow) == 0 || c != m.preferred.Channel {
			e.workflow = append(e.workflow, c)
		}
	}
	if !e.inbound() {
		e.messages = []message{{channel: e.workflow[0], status: "queued"}}
	}
	m.all = append(m.all, e)
	m.sends = noted(m.sends, now)
	for len(m.all) > 8 {
		i := slices.IndexFunc(m.all, func(e *entry) bool {
			fetchable := e.inbound() && e.status == "approved" && !e.claimed && now.Before(e.dies)
			return e.status != "pending" && !fetchable
		})
		if i < 0 {
			break
		}
		m.all = append(m.all[:i:i], m.all[i+1:]...)
	}
	return "", 0
}

// refusedAs is how a verification that has ended is refused.
var refusedAs = map[otp.Status]problem.Kind{
	"approved": problem.AlreadyUsed, "canceled": problem.Canceled, "denied": problem.Denied, "expired": problem.Expired,
	"exhausted": problem.TooManyChecks, "undeliverable": problem.Undeliverable, "no such status": problem.Internal,
}

// usable says why a verification cannot be used, "" if it can.
func (e *entry) usable() problem.Kind {
	if e == nil {
		return problem.NotFound
	}
	return refusedAs[e.status]
}

// locked is how long the wrong codes of the day allow nothing more, 0 if they do.
func (m *model) locked(now time.Time) time.Duration {
	n := len(m.failures)
	if n < m.p.MaxFailuresPerDay {
		return 0
	}
	return judged(m.failures, now)[n-m.p.MaxFailuresPerDay].Add(24 * time.Hour).Sub(now)
}

// ended says why a verification cannot be used, and how long a new start would be
// refused because of wrong codes, if a new start is the way on.
func (m *model) ended(e *entry, now time.Time) (problem.Kind, time.Duration) {
	kind := e.usable()
	switch kind {
	case problem.TooManyChecks, problem.Canceled, problem.Expired:
		return kind, m.locked(now)
	}
	return kind, 0
}

func (m *model) resend(id otp.ID, c channel.Channel, now time.Time) (problem.Kind, time.Duration) {
	e := m.find(id)
	if kind, wait := m.ended(e, now); kind != "" {
		return kind, wait
	}
	if now.Add(time.Minute).After(e.dies) {
		return problem.Expired, 0
	}
	if e.inbound() {
		return problem.InvalidRequest, 0
	}
	last := e.messages[len(e.messages)-1]
	next := e.untried()
	switch {
	case c == "next" && len(next) == 0:
		return problem.InvalidRequest, 0
	case c == "next", c == "" && last.status == "failed" && len(next) > 0:
		c = next[0]
	case c == "":
		c = last.channel
	}
	if kind, wait := m.maySend(now); kind != "" {
		return kind, wait
	}
	m.sends = noted(m.sends, now)
	e.messages = append(e.messages, message{channel: c, status: "queued"})
	return "", 0
}

// untried is the channels of the workflow that had no message.
func (e *entry) untried() (left []channel.Channel) {
	for _, c := range e.workflow {
		if !slices.ContainsFunc(e.messages, func(x message) bool { return x.channel == c }) {
			left = append(left, c)
		}
	}
	return left
}

func (m *model) spend(now time.Time) (problem.Kind, time.Duration) {
	kind, wait := m.mayFollow(now)
	if kind == "" {
		m.sends = noted(m.sends, now)
	}
	return kind, wait
}

func (m *model) check(id otp.ID, code string, c otp.Transaction, now time.Time) (kind problem.Kind, wait time.Duration, alert bool) {
	e := m.find(id)
	if e != nil && e.inbound() {
		return problem.InvalidRequest, 0, false
	}
	if kind, wait := m.ended(e, now); kind != "" {
		return kind, wait, false
	}
	if wait := m.locked(now); wait > 0 {
		return problem.TooManyChecks, wait, false
	}
	if code == e.code && c == e.context {
		e.status, e.over = "approved", now
		m.worked(e, e.arrived(), now)
		return "", 0, false
	}
	alert = m.wrongCode(e, now)
	return problem.WrongCode, m.locked(now), alert
}

// wrongCode counts a wrong code or context, and says whether the person is alerted.
func (m *model) wrongCode(e *entry, now time.Time) bool {
	m.failures = noted(m.failures, now)
	if e.wrong++; e.wrong == m.p.MaxChecks {
		e.status, e.over = "exhausted", now
	}
	none := e.status == "exhausted" || len(m.failures) >= m.p.MaxFailuresPerDay
	if !none || !m.alerted.IsZero() || !m.blocked.IsZero() || len(m.notices) >= 10 {
		return false
	}
	m.alerted, m.notices = now, noted(m.notices, now)
	return true
}

func (m *model) confirm(code string, now time.Time) problem.Kind {
	for _, e := range m.all {
		if e.status == "pending" && e.inbound() && e.code == code {
			e.status, e.over = "approved", now
			return ""
		}
	}
	return problem.NotFound
}

func (m *model) claim(id otp.ID, c otp.Transaction, now time.Time) (kind problem.Kind, wait time.Duration, alert bool) {
	e := m.find(id)
	switch {
	case e == nil:
		return problem.NotFound, 0, false
	case !e.inbound():
		return problem.InvalidRequest, 0, false
	case e.status != "pending" && e.status != "approved", e.claimed:
		kind, wait := m.ended(e, now)
		return kind, wait, false
	case !now.Before(e.dies):
		return problem.Expired, 0, false
	case m.locked(now) > 0:
		return problem.TooManyChecks, m.locked(now), false
	case c != e.context:
		alert = m.wrongCode(e, now)
		return problem.WrongCode, m.locked(now), alert
	case e.status == "pending":
		return problem.NotYetApproved, 2 * time.Second, false
	}
	e.claimed = true
	return "", 0, false
}

func (m *model) deny(now time.Time) problem.Kind {
	kind := problem.NotFound
	for _, e := range m.all {
		if e.status == "pending" {
			e.status, e.over, kind = "denied", now, ""
		}
	}
	return kind
}

func (m *model) end(id otp.ID, status otp.Status, now time.Time) problem.Kind {
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
