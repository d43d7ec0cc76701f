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

// An unknown error may hold anything, so neither the log nor the client gets its
// text.
func TestAnUnknownErrorIsInternalAndItsTextIsNotTold(t *testing.T) {
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

func TestAWrappedProblemKeepsItsKind(t *testing.T) {
	if e := asError(fmt.Errorf("outside: %w", problem.Invalid("to", "bad"))); e.Kind != problem.InvalidRequest || len(e.Fields) != 1 {
		t.Errorf("%+v", e)
	}
}

// A body that cannot be encoded is a defect, and must not look like a success.
func TestABodyThatCannotBeEncodedIsInternal(t *testing.T) {
	w := httptest.NewRecorder()
	status := respond(w, answer{status: 200, body: map[string]float64{"x": math.Inf(1)}}, nil)
	if status != 500 || w.Code != 500 || !strings.Contains(w.Body.String(), "urn:twofa:internal") || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
