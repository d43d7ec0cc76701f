package handler_test

import (
	"sync"
	"testing"

	"twofa/internal/problem"
)

// together runs n calls at once and returns their answers.
func together(n int, call func(i int) *response) []*response {
	answers := make([]*response, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			answers[i] = call(i)
		})
	}
	close(begin)
	wg.Wait()
	return answers
}

func count(answers []*response) map[int]int {
	byStatus := make(map[int]int)
	for _, a := range answers {
		byStatus[a.status]++
	}
	return byStatus
}

// Attack 3, in one process.
func TestOfParallelRightChecksExactlyOneIsApproved(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	got := count(together(100, func(int) *response { return s.check(id, code) }))
	if got[200] != 1 || got[409] != 99 {
		t.Errorf("answers by status: %v, want one 200 and 99 409", got)
	}
}

// Attack 1, in one process.
func TestOfParallelWrongChecksAtMostFiveAreEvaluated(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	answers := together(64, func(int) *response { return s.check(id, wrong(code)) })
	if got := count(answers); got[422] != 5 || got[429] != 59 {
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
	s.check(id, code).problem(429, problem.TooManyChecks)
}

// Of a right and many wrong ones at once, the right one is approved or too late,
// and no wrong one is ever approved.
func TestARightCheckAmongWrongOnesIsApprovedAtMostOnce(t *testing.T) {
	s := newService(t)
	id, code := s.start(alice)
	answers := together(32, func(i int) *response {
		if i%8 == 0 {
			return s.check(id, code)
		}
		return s.check(id, wrong(code))
	})
	approved := 0
	for i, a := range answers {
		if a.status == 200 {
			approved++
			if i%8 != 0 {
				t.Errorf("a wrong code was approved: %s", a.body)
			}
		}
	}
	evaluated := count(answers)[422]
	if approved > 1 || evaluated > 5 || approved == 0 && evaluated != 5 {
		t.Errorf("%d approved, %d evaluated and wrong", approved, evaluated)
	}
}

// The limits hold against a burst as well.
func TestOfParallelStartsOneIsSent(t *testing.T) {
	s := newService(t)
	got := count(together(20, func(int) *response { return s.post("/api/otpsend", object("to", alice)) }))
	if got[201] != 1 || got[429] != 19 || s.sender.calls() != 1 {
		t.Errorf("answers by status: %v, %d messages, want one", got, s.sender.calls())
	}
}
