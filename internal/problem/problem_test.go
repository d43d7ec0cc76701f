package problem_test

import (
	"errors"
	"fmt"
	"testing"

	"twofa/internal/problem"
)

// A message is a format with and without arguments, so that %% is one % in both.
func TestFaults_MessagesAreFormats(t *testing.T) {
	var faults problem.Faults
	if faults.Err() != nil {
		t.Fatal("no fault is an error")
	}
	faults.Add("to", "A + is written %%2B.")
	faults.Add("to", "%d%% of %s", 5, "100%")
	faults.AddAll(problem.Invalid("code", "A + is written %%2B."))
	faults.AddAs("uri", problem.Invalid("secret", "100%%"))
	faults.AddAll(nil)
	e, _ := errors.AsType[*problem.Error](faults.Err())
	want := []problem.Field{{"to", "A + is written %2B."}, {"to", "5% of 100%"}, {"code", "A + is written %2B."}, {"uri", "100%"}}
	if e == nil || e.Kind != problem.InvalidRequest || fmt.Sprint(e.Fields) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %v", e, want)
	}
}

func TestIs(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", problem.Unexpected(errors.New("cause")))
	if !problem.Is(err, problem.NotFound, problem.Internal) || problem.Is(err, problem.NotFound) || problem.Is(nil, problem.Internal) {
		t.Error("Is does not see the kind of a wrapped error")
	}
	if err.Error() != "wrapped: internal: cause" {
		t.Errorf("the text is %q", err)
	}
}
