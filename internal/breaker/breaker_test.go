package breaker_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/breaker"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var both = []string{"plivo", "twilio"}

func down(b *breaker.Breaker, at time.Duration) string { return fmt.Sprint(b.Down(both, noon.Add(at))) }

// begin has a message go over each provider.
func begin(b *breaker.Breaker, at time.Duration) {
	for _, name := range both {
		b.Begin(name, noon.Add(at))
	}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// The fifth failure among twenty messages, and one refusal of the account, begin the pause; one
// message is tried after it.
func TestBreaker(t *testing.T) {
	t.Parallel()
	var log []string
	b := &breaker.Breaker{Changed: func(name string, down bool) { log = append(log, fmt.Sprint(name, down)) }}
	for range 4 {
		b.Note("plivo", breaker.Fails, noon)
	}
	for range 12 {
		b.Note("plivo", breaker.Works, noon)
	}
	want(t, "four failures", down(b, 0), "[]")
	b.Note("plivo", breaker.Fails, noon)
	want(t, "five failures", down(b, 0), "[plivo]")
	b.Note("twilio", breaker.Refuses, noon)
	want(t, "a refusal", down(b, time.Second), "[plivo twilio]")
	b.Note("plivo", breaker.Works, noon) // a message that was sent before
	want(t, "the end of the pause", down(b, breaker.Pause-1), "[plivo twilio]")
	want(t, "the message that is tried", down(b, breaker.Pause), "[]")
	want(t, "who only asks tries nothing", down(b, breaker.Pause), "[]")
	begin(b, breaker.Pause)
	want(t, "the others", down(b, breaker.Pause+time.Second), "[plivo twilio]")
	b.Note("plivo", breaker.Works, noon.Add(breaker.Pause+2*time.Second))
	b.Note("twilio", breaker.Fails, noon.Add(breaker.Pause+2*time.Second))
	want(t, "after the outcome", down(b, breaker.Pause+3*time.Second), "[twilio]")
	want(t, "the second pause", down(b, 2*breaker.Pause+time.Second), "[twilio]")
	want(t, "the next one that is tried", down(b, 2*breaker.Pause+2*time.Second), "[]")
	begin(b, 2*breaker.Pause+2*time.Second)
	want(t, "while it is tried", down(b, 2*breaker.Pause+3*time.Second), "[twilio]")
	want(t, "nobody heard of it", down(b, 2*breaker.Pause+2*time.Second+breaker.Trial), "[]")
	if !slices.Equal(log, []string{"plivotrue", "twiliotrue", "plivofalse"}) {
		t.Errorf("said: %q", log)
	}
}

// Failures that are more than twenty messages old are forgotten.
func TestBreaker_ForgetsOldFailures(t *testing.T) {
	t.Parallel()
	b := new(breaker.Breaker)
	for range 100 {
		b.Note("plivo", breaker.Fails, noon)
		for range 4 {
			b.Note("plivo", breaker.Works, noon)
		}
		want(t, "one of five", down(b, 0), "[]")
	}
}

// Over random outcomes: a provider is down only within Pause or Trial of a failure, and one that
// works is down for nobody.
func TestBreaker_Property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, now, last := new(breaker.Breaker), noon, noon.Add(-time.Hour)
		for range rapid.IntRange(1, 100).Draw(t, "messages") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second)
			isDown := len(b.Down(both, now)) > 0
			if isDown && now.Sub(last) >= breaker.Pause+breaker.Trial {
				t.Fatalf("down %v after the last failure", now.Sub(last))
			}
			if isDown {
				continue
			}
			b.Begin("plivo", now)
			o := rapid.SampledFrom([]breaker.Outcome{breaker.Works, breaker.Fails, breaker.Refuses}).Draw(t, "outcome")
			b.Note("plivo", o, now)
			if o != breaker.Works {
				last = now
			}
			if o == breaker.Refuses && len(b.Down(both, now)) == 0 || o == breaker.Works && len(b.Down(both, now)) > 0 {
				t.Fatalf("after %d it is down: %v", o, b.Down(both, now))
			}
		}
	})
}

// Of many who ask after the pause, the first whose message goes over the provider tries it. A
// message over another one does not, and neither does a message within the pause.
func TestBreaker_OneTries(t *testing.T) {
	t.Parallel()
	b := new(breaker.Breaker)
	b.Note("plivo", breaker.Refuses, noon)
	b.Begin("plivo", noon.Add(breaker.Pause-1))
	b.Begin("twilio", noon.Add(breaker.Pause))
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() { want(t, "before", down(b, breaker.Pause), "[]") })
	}
	group.Wait()
	for range 100 {
		group.Go(func() { b.Begin("plivo", noon.Add(breaker.Pause)) })
	}
	group.Wait()
	want(t, "after", down(b, breaker.Pause), "[plivo]")
}

// A report on an earlier message is not the outcome of the message that is tried. One that says
// that the account is refused counts at any time.
func TestBreaker_Reports(t *testing.T) {
	t.Parallel()
	b := new(breaker.Breaker)
	for range 5 {
		b.Report("plivo", breaker.Fails, noon)
	}
	want(t, "five reports", down(b, 0), "[plivo]")
	want(t, "the message that is tried", down(b, breaker.Pause), "[]")
	begin(b, breaker.Pause)
	b.Report("plivo", breaker.Fails, noon.Add(breaker.Pause))
	want(t, "nobody heard of it, and a report came", down(b, breaker.Pause+breaker.Trial), "[]")
	b.Report("plivo", breaker.Refuses, noon.Add(breaker.Pause+breaker.Trial))
	want(t, "no credit", down(b, 2*breaker.Pause), "[plivo]")
}
