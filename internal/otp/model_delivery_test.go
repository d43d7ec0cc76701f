package otp_test

import (
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

func (m *model) follow(g otp.Progress, now time.Time) (kind problem.Kind, begun bool) {
	e := m.find(g.ID)
	if e == nil || g.Attempt < 1 || g.Attempt > len(e.messages) {
		return problem.NotFound, false
	}
	order := map[otp.DeliveryStatus]int{"queued": 1, "sent": 2, "failed": 3, "delivered": 4, "read": 5}
	x := &e.messages[g.Attempt-1]
	if order[g.Status] <= order[x.status] {
		return "", false
	}
	x.status, x.recover = g.Status, g.Status == "failed" && g.MayRecover
	if g.Status == "delivered" || g.Status == "read" {
		m.worked(e, x.channel, now)
	}
	if g.Status != "failed" {
		return "", false
	}
	if g.Next == otp.NextNone {
		if end := now.Add(time.Hour); end.After(m.blocked) {
			m.blocked = end
		}
	}
	if e.status != "pending" {
		return "", false
	}
	recover := false
	for _, x := range e.messages {
		if x.status != "failed" {
			return "", false
		}
		recover = recover || x.recover
	}
	left := e.untried()
	switch {
	case g.Next == otp.NextNone:
		left = nil
	case g.Next == otp.NextAddress:
		left = slices.DeleteFunc(left, func(c channel.Channel) bool { return (c == "email") == (x.channel == "email") })
	case g.Next == otp.NextCall && slices.Contains(left, "call"):
		left = []channel.Channel{"call"}
	}
	if len(left) == 0 {
		if !recover {
			e.status, e.over = "undeliverable", now
		}
		return "", false
	}
	if now.Add(time.Minute).After(e.dies) || !m.takes(g.Unsent, now) {
		return "", false
	}
	e.messages = append(e.messages, message{channel: left[0], status: "queued"})
	return "", true
}

// takes reports whether a message may follow one, and spends its send.
func (m *model) takes(unsent bool, now time.Time) bool {
	probe := *m
	if unsent { // it has the send of the other one
		probe.sends = nil
	}
	if kind, _ := probe.mayFollow(now); kind != "" {
		return false
	}
	if !unsent {
		m.sends = noted(m.sends, now)
	}
	return true
}

// worked notes by which of several channels a code came.
func (m *model) worked(e *entry, c channel.Channel, now time.Time) {
	if len(e.workflow) < 2 || c == "" {
		return
	}
	m.preferred.Channel = c
	if now.After(m.preferred.At) {
		m.preferred.At = now
	}
}

// arrived is the last message that was delivered, else the last one that did
// not fail.
func (e *entry) arrived() (c channel.Channel) {
	for _, x := range e.messages {
		if x.status != "failed" {
			c = x.channel
		}
	}
	for _, x := range e.messages {
		if x.status == "delivered" || x.status == "read" {
			c = x.channel
		}
	}
	return c
}
