package handler

import (
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"strings"
	"testing"

	"twofa/internal/problem"
)

// What is not known may say anything, and neither log nor client may read it.
func TestAnErrorThatIsNotKnownIsInternalAndTellsNothing(t *testing.T) {
	for _, err := range []error{
		errors.New("canary"),
		fmt.Errorf("sdk: %w", errors.New("canary")),
		&problem.Error{Kind: "a_kind_of_tomorrow", Detail: "canary"},
	} {
		e := asError(err)
		w := httptest.NewRecorder()
		if status := respond(w, answer{}, e); status != 500 || e.Kind != problem.Internal || e.Err == nil {
			t.Errorf("%v: %d %s %v", err, status, e.Kind, e.Err)
		}
		if text := e.Error() + w.Body.String(); strings.Contains(text, "canary") {
			t.Errorf("%v: told %s", err, text)
		}
	}
}

// The kinds keep their meaning through whatever wraps them.
func TestAWrappedErrorOfTheDomainKeepsItsKind(t *testing.T) {
	if e := asError(fmt.Errorf("outside: %w", problem.Invalid("to", "bad"))); e.Kind != problem.InvalidRequest || len(e.Fields) != 1 {
		t.Errorf("%+v", e)
	}
}

// A body of ours that cannot be written is a defect; it must not look like
// success.
func TestABodyThatCannotBeWrittenIsInternal(t *testing.T) {
	w := httptest.NewRecorder()
	status := respond(w, answer{status: 200, body: map[string]float64{"x": math.Inf(1)}}, nil)
	if status != 500 || w.Code != 500 || !strings.Contains(w.Body.String(), "urn:twofa:internal") || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
