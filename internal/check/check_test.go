package check

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func finding(name string, result Result) Func {
	return func(context.Context) []Finding { return []Finding{{Name: name, Result: result}} }
}

// All parts run at the same time, and their findings come in the order of the parts. Each
// part has its time, and one that does not keep to it is a failure.
func TestRunBoundsEachPartAndKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		released := make(chan struct{})
		defer close(released)
		first := make(chan struct{})
		began := time.Now()
		found := Run(t.Context(), []Part{
			{"a", "", Func(func(context.Context) []Finding {
				<-first
				return []Finding{{Name: "a1"}, {Name: "a2"}}
			})},
			{"b", "", Func(func(context.Context) []Finding { close(first); return []Finding{{Name: "b"}} })},
			{"polite", "S", Func(func(ctx context.Context) []Finding {
				<-ctx.Done()
				return []Finding{{Name: "polite", Text: NoAnswer(ctx)}}
			})},
			{"stuck", "S", Func(func(context.Context) []Finding { <-released; return nil })},
			{"broken", "S", Func(func(context.Context) []Finding { panic("canary") })},
		})
		var names []string
		for _, f := range found {
			names = append(names, f.Name)
		}
		if want := []string{"a1", "a2", "b", "polite", "stuck", "broken"}; !reflect.DeepEqual(names, want) {
			t.Fatalf("findings %q", names)
		}
		if f := found[4]; f.Result != Failed || f.Setting != "S" || !strings.Contains(f.Text, "in time") {
			t.Errorf("stuck: %+v", f)
		}
		if f := found[5]; f.Result != Failed || strings.Contains(f.Text, "canary") || !strings.Contains(f.Text, "defect") {
			t.Errorf("broken: %+v", f)
		}
		if took := time.Since(began); took != Limit+grace { // the clock of the bubble
			t.Errorf("took %v", took)
		}
	})
}

// A signal ends all checks.
func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		released := make(chan struct{})
		defer close(released)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		found := Run(ctx, []Part{{"stuck", "", Func(func(context.Context) []Finding { <-released; return nil })}})
		if len(found) != 1 || !strings.Contains(found[0].Text, "stopped") {
			t.Errorf("%+v", found)
		}
	})
}

func TestWorst(t *testing.T) {
	for want, all := range map[Result][][]Result{
		OK:      {nil, {OK}, {Skipped}, {OK, Skipped}},
		Warning: {{Warning}, {OK, Warning, Skipped}},
		Failed:  {{Failed}, {Warning, Failed, OK}},
	} {
		for _, results := range all {
			var found []Finding
			for _, r := range results {
				found = append(found, finding("x", r)(t.Context())...)
			}
			if got := Worst(found); got != want {
				t.Errorf("%v: %s, want %s", results, got, want)
			}
		}
	}
}
