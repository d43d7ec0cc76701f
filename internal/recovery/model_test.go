package recovery_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
	"twofa/internal/window"
)

// model has the same rules in the simplest form: the codes themselves, with a bool
// each.
type model struct {
	used     map[string]bool // of the current set
	replaced []string        // codes of the earlier sets
	removed  bool            // the current set's secret was removed
	failures []time.Time
}

// use returns the outcome of a code, and how long to wait.
func (m *model) use(code string, now time.Time) (kind problem.Kind, wait time.Duration) {
	if m.left() == 0 {
		return problem.NotFound, 0
	}
	// Codes are compared again when the tenth of the last wrong codes is a day old.
	for i := len(m.failures) - 1; i >= 0; i-- {
		if now.Sub(m.failures[i]) < window.Day && len(m.failures)-i == 10 {
			return problem.TooManyChecks, window.Day - now.Sub(m.failures[i])
		}
	}
	if len(code) != 19 {
		return problem.InvalidRequest, 0
	}
	if m.removed {
		return problem.Expired, 0
	}
	if used, known := m.used[code]; !known || used {
		m.failures = append(m.failures, now)
		return problem.WrongCode, 0
	}
	m.used[code] = true
	return "", 0
}

func (m *model) left() int {
	n := 0
	for _, used := range m.used {
		if !used {
			n++
		}
	}
	return n
}

func TestState_DoesWhatTheModelDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s recovery.State
		m := model{}
		now := fixture.Noon
		secrets := 1
		keys := fixture.Keys(t, 1)
		var codes []string // of the current set, in order
		var seed byte
		check := func(t *rapid.T, code string) {
			want, wait := m.use(code, now)
			after, left, err := recovery.AttemptWith(quick, typed(t, code), keys, now)(s)
			e := wantKind(t, err, want)
			if left != m.left() || e != nil && e.RetryAfter != wait {
				t.Fatalf("%d left, %+v; want %d, wait %v", left, e, m.left(), wait)
			}
			s = after
		}
		some := func(t *rapid.T, of []string) string {
			if len(of) == 0 {
				t.Skip("none")
			}
			return rapid.SampledFrom(of).Draw(t, "code")
		}
		t.Repeat(map[string]func(*rapid.T){
			"make": func(t *rapid.T) {
				seed++
				fresh, made, err := recovery.NewWith(quick, source(seed), keys, now)
				if err != nil {
					t.Fatal(err)
				}
				for code := range m.used {
					m.replaced = append(m.replaced, code)
				}
				m.used, m.removed, codes = map[string]bool{}, false, fresh
				for _, code := range fresh {
					m.used[code] = false
				}
				s = s.Replace(made)
			},
			"use":          func(t *rapid.T) { check(t, some(t, codes)) },
			"use two":      func(t *rapid.T) { check(t, some(t, codes)); check(t, some(t, codes)) },
			"use replaced": func(t *rapid.T) { check(t, some(t, m.replaced)) },
			"use wrong":    func(t *rapid.T) { check(t, wrong) },
			"misread":      func(t *rapid.T) { check(t, "123456") },
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.SampledFrom([]int64{1, 60_000, 3_600_000, 9 * 3_600_000}).Draw(t, "ms")) * time.Millisecond)
			},
			"rotate and keep": func(*rapid.T) {
				secrets++
				keys = fixture.Keys(t, byte(secrets), byte(secrets-1))
				if len(codes) > 0 && !s.Alive(keys) {
					m.removed = true
				}
			},
			"remove the old secret": func(*rapid.T) {
				keys = fixture.Keys(t, byte(secrets))
				if len(codes) > 0 && s.Key != keys.Current() {
					m.removed = true
				}
			},
			"": func(t *rapid.T) {
				if s.Left() != m.left() {
					t.Fatalf("%d left, want %d", s.Left(), m.left())
				}
				if len(codes) > 0 && s.Alive(keys) == m.removed {
					t.Fatalf("alive: %v, want %v", s.Alive(keys), !m.removed)
				}
				row, err := user.User{Directory: "main", Name: "x", Recovery: s}.Encode()
				if err != nil {
					t.Fatal(err)
				}
				u, err := user.Decode(row)
				if err != nil || !same(u.Recovery, s) {
					t.Fatalf("the row holds %+v, %v, want %+v", u.Recovery, err, s)
				}
				s = u.Recovery
			},
		})
	})
}
