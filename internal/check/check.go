// Package check says whether what the settings name works: what a finding is, and how
// checks run side by side within a time limit. `twofa check` prints the findings.
//
// A check must never write a row or send a message, and has to work beside a running
// service. A finding must never hold a secret, a number, an address or another program's
// words.
package check

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Result is how a check ended.
type Result string

// The results.
const (
	OK      Result = "ok"
	Warning Result = "warning" // it works, but somebody should look at it
	Failed  Result = "failed"  // messages, codes or rows depend on it, and it does not work
	Skipped Result = "skipped" // it is not in use, or nothing harmless can tell
)

// Finding is one line of the report.
type Finding struct {
	// Name is what was checked, such as "smtp" or "twilio account".
	Name   string `json:"name"`
	Result Result `json:"result"`
	// Setting is the environment variable to look at. Empty: none.
	Setting string `json:"setting,omitempty"`
	// Text says in our own words what was found and what to do. It may begin with a verb
	// whose subject is the setting.
	Text string `json:"what_to_do"`
}

// Checker is a part of the set-up that can be checked: a store, a provider.
type Checker interface {
	// Check returns one finding or more. It returns when ctx ends, and then says in a
	// finding what did not answer. It reads a limited number of bytes.
	Check(ctx context.Context) []Finding
}

// Func is a function that is a Checker.
type Func func(ctx context.Context) []Finding

// Check implements Checker.
func (f Func) Check(ctx context.Context) []Finding { return f(ctx) }

// Part is a Checker with a name and a setting for the case that it does not return.
type Part struct {
	Name, Setting string
	Checker
}

// Limit bounds each part of a Run.
const Limit = 5 * time.Second

// grace is how long Run waits for a part after its time is over, so that the part can say
// itself what did not answer.
const grace = time.Second

// Run runs all parts side by side, each for at most Limit, and returns their findings in
// the order of the parts. A part that does not return in time, or panics, is a failure.
func Run(ctx context.Context, parts []Part) (all []Finding) {
	results := make([]chan []Finding, len(parts))
	for i, p := range parts {
		results[i] = make(chan []Finding, 1)
		go func() { results[i] <- p.bounded(ctx) }()
	}
	for _, r := range results {
		all = append(all, <-r...)
	}
	return all
}

// bounded returns by Limit and grace, even if the part does not: a disk may hang.
func (p Part) bounded(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	done := make(chan []Finding, 1)
	go func() {
		defer func() {
			if recover() != nil { // its text could hold anything
				done <- []Finding{{Name: p.Name, Result: Failed, Setting: p.Setting, Text: "cannot be checked: the check itself has a defect, please report it"}}
			}
		}()
		done <- p.Check(ctx)
	}()
	select {
	case found := <-done:
		return found
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case found := <-done:
		return found
	case <-timer.C:
		return []Finding{{Name: p.Name, Result: Failed, Setting: p.Setting, Text: NoAnswer(ctx)}}
	}
}

// NoAnswer is the text of a finding about what has not answered until ctx ended.
func NoAnswer(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return "did not answer before the check was stopped"
	}
	return "did not answer in time (5 seconds): check the network and the address, and try again"
}

// Worst is the result of all findings together: Failed, else Warning, else OK.
func Worst(all []Finding) Result {
	has := func(r Result) bool {
		return slices.ContainsFunc(all, func(f Finding) bool { return f.Result == r })
	}
	switch {
	case has(Failed):
		return Failed
	case has(Warning):
		return Warning
	}
	return OK
}
