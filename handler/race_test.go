package handler_test

import (
	"testing"

	"twofa/internal/problem"
	testrig "twofa/internal/testing/rig"
)

// together makes n calls at the same time. It returns their answers, and the
// number of answers by status.
func together(n int, call func(i int) *response) (answers []*response, byStatus map[int]int) {
	answers, byStatus = make([]*response, n), make(map[int]int)
	testrig.AtOnce(testrig.Times(n, func(i int) { answers[i] = call(i) })...)
	for _, a := range answers {
		byStatus[a.status]++
	}
	return answers, byStatus
}

// Attack 3, in one process.
func TestOfParallelRightChecksExactlyOneIsApproved(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	_, got := together(100, func(int) *response { return r.check(id, code) })
	if got[200] != 1 || got[409] != 99 {
		t.Errorf("answers by status: %v, want one 200 and 99 409", got)
	}
}

// Attack 1, in one process.
func TestOfParallelWrongChecksAtMostFiveAreEvaluated(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	answers, got := together(64, func(int) *response { return r.check(id, wrong(code)) })
	if got[422] != 5 || got[429] != 59 {
		t.Errorf("answers by status: %v, want 5 422 and 59 429", got)
	}
	left := make(map[int]bool)
	for _, a := range answers {
		if a.status == 422 {
			left[a.number("checks_left")] = true
		}
	}
	if len(left) != 5 || !left[0] || !left[4] {
		t.Errorf("checks_left took the values %v, want 0 to 4, each once", left)
	}
	r.check(id, code).problem(429, problem.TooManyChecks)
}

// The right code comes among many wrong ones at the same time. It is approved or
// too late, and no wrong code is ever approved.
func TestARightCheckAmongWrongOnesIsApprovedAtMostOnce(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	answers, got := together(32, func(i int) *response {
		if i%8 == 0 {
			return r.check(id, code)
		}
		return r.check(id, wrong(code))
	})
	for i, a := range answers {
		if a.status == 200 && i%8 != 0 {
			t.Errorf("a wrong code was approved: %s", a.body)
		}
	}
	if got[200] > 1 || got[422] > 5 || got[200] == 0 && got[422] != 5 {
		t.Errorf("%d approved, %d evaluated and wrong", got[200], got[422])
	}
}

// The limits hold against a burst, too.
func TestOfParallelStartsOneIsSent(t *testing.T) {
	r := newRig(t)
	_, got := together(20, func(int) *response { return r.post("/api/otpsend", object("to", alice)) })
	if got[201] != 1 || got[429] != 19 || r.Sent() != 1 {
		t.Errorf("answers by status: %v, %d messages, want one", got, r.Sent())
	}
}
