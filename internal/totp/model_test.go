package totp_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/internal/window"
)

// model has the same rules in the simplest form: it keeps every step that was ever
// accepted, and searches all of them.
type model struct {
	devices  []*device
	failures []time.Time
}

type device struct {
	a         totp.Authenticator // as the transition got it
	confirmed bool
	created   time.Time
	wrong     int
	accepted  []int64
}

func (m *model) settle(now time.Time) {
	latest := now.Add(window.MaxSkew).Truncate(ms)
	m.devices = slices.DeleteFunc(m.devices, func(d *device) bool {
		return !d.confirmed && (now.Sub(d.created) >= 15*time.Minute || d.created.After(latest))
	})
	m.failures = slices.DeleteFunc(m.failures, func(t time.Time) bool { return now.Sub(t) >= 24*time.Hour })
	for i, t := range m.failures {
		if t.After(latest) {
			m.failures[i] = latest
		}
	}
}

func (m *model) pending() *device {
	for _, d := range m.devices {
		if !d.confirmed {
			return d
		}
	}
	return nil
}

func (m *model) remove(d *device) {
	m.devices = slices.DeleteFunc(m.devices, func(e *device) bool { return e == d })
}

// accept reports whether the device accepts the code, and notes its steps.
func (d *device) accept(typed string, now time.Time) bool {
	var right []int64
	for w := int64(-1); w <= 1; w++ {
		step := stepOf(d.a, now) + w
		used := slices.ContainsFunc(d.accepted, func(s int64) bool { return s >= step })
		if typed == code(d.a, step) && !used {
			right = append(right, step)
		}
	}
	d.accepted = append(d.accepted, right...)
	return len(right) > 0
}

func (m *model) wrongCode(now time.Time) {
	t := now.Truncate(ms)
	for _, f := range m.failures {
		if f.After(t) {
			t = f
		}
	}
	m.failures = append(m.failures, t)
}

// machine runs the package and the model.
type machine struct {
	m    model
	s    totp.State
	now  time.Time
	last string // the code that was accepted last
	next byte   // id
}

// after compares the state with the model's, and checks the rules of every
// transition: it does not change its arguments, it does the same when it runs again,
// and its state is settled and can be kept.
func (x *machine) after(t *rapid.T, before, copied totp.State, again func() totp.State) {
	if !reflect.DeepEqual(before, copied) {
		t.Fatalf("the old state has changed:\n%+v\n%+v", copied, before)
	}
	if s := again(); !reflect.DeepEqual(s, x.s) {
		t.Fatalf("a second run returns another state:\n%+v\n%+v", x.s, s)
	}
	if s := x.s.Settle(x.now); !reflect.DeepEqual(s, x.s) {
		t.Fatalf("the state is not settled:\n%+v\n%+v", x.s, s)
	}
	row, err := user.User{Directory: "main", Name: "x", TOTP: x.s}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if u, err := user.Decode(row); err != nil || !reflect.DeepEqual(u.TOTP, x.s) {
		t.Fatalf("the row holds\n%+v, %v\nnot\n%+v", u.TOTP, err, x.s)
	}
	if got, want := summary(x.s), x.m.summary(); got != want {
		t.Fatalf("state\n%smodel\n%s", got, want)
	}
}

func summary(s totp.State) string {
	var b strings.Builder
	for _, a := range s.Authenticators {
		fmt.Fprintln(&b, a.ID, a.Name, !a.Pending(), a.CreatedAt, a.Failed, a.Step)
	}
	fmt.Fprintln(&b, s.Failures)
	return b.String()
}

func (m *model) summary() string {
	var b strings.Builder
	for _, d := range m.devices {
		fmt.Fprintln(&b, d.a.ID, d.a.Name, d.confirmed, d.created, d.wrong, slices.Max(append(d.accepted, 0)))
	}
	fmt.Fprintln(&b, append([]time.Time(nil), m.failures...))
	return b.String()
}

// deepCopy returns a copy that shares no memory with s.
func deepCopy(s totp.State) totp.State {
	s.Authenticators = slices.Clone(s.Authenticators)
	for i := range s.Authenticators {
		s.Authenticators[i].Secret = bytes.Clone(s.Authenticators[i].Secret)
	}
	s.Failures = slices.Clone(s.Failures)
	return s
}

// do runs a transition and the model's, which returns the kind of the error.
func (x *machine) do(t *rapid.T, want func(m *model) problem.Kind, transition func(s totp.State) (totp.State, error)) {
	before, copied := x.s, deepCopy(x.s)
	s, err := transition(before)
	x.s = s
	x.m.settle(x.now)
	if k := want(&x.m); kind(err) != k {
		t.Fatalf("%s, want %q", describe(err), k)
	}
	x.after(t, before, copied, func() totp.State { s, _ := transition(before); return s })
}

// typed draws a code: one of a device for a step near the window, the last accepted
// one, or a wrong one.
func (x *machine) typed(t *rapid.T) string {
	if len(x.m.devices) == 0 || rapid.IntRange(0, 3).Draw(t, "wrong") == 0 {
		return rapid.SampledFrom([]string{"000000", "00000000", "", "ABCDEF", x.last}).Draw(t, "code")
	}
	d := rapid.SampledFrom(x.m.devices).Draw(t, "device")
	return code(d.a, stepOf(d.a, x.now)+rapid.Int64Range(-2, 2).Draw(t, "step"))
}

func (x *machine) anyID(t *rapid.T) string {
	return id(rapid.ByteRange(0, x.next).Draw(t, "id"))
}

func (x *machine) draw(t *rapid.T) totp.Authenticator {
	a := anyAuthenticator().Draw(t, "new")
	x.next++
	a.ID, a.Secret[0] = id(x.next), x.next
	a.Name = rapid.SampledFrom([]string{"A", "B", "C", "D", "E", "F", "G"}).Draw(t, "name")
	return a
}

// mayAdd reports whether the model's Enroll or Import adds a.
func (m *model) mayAdd(a totp.Authenticator, besides *device) bool {
	n := 0
	for _, d := range m.devices {
		if d == besides {
			continue
		}
		if n++; d.a.Name == a.Name {
			return false
		}
	}
	return n < 5
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := &machine{now: fixture.Noon}
		t.Repeat(map[string]func(*rapid.T){
			"clock": func(t *rapid.T) {
				by := rapid.OneOf(
					rapid.Int64Range(0, int64(90*time.Second)),
					rapid.Int64Range(0, int64(16*time.Minute)),
					rapid.Int64Range(0, int64(13*time.Hour)),
					rapid.Int64Range(-int64(5*time.Minute), 0),
				).Draw(t, "by")
				x.now = x.now.Add(time.Duration(by))
			},
			"enroll": func(t *rapid.T) {
				a := x.draw(t)
				x.do(t, func(m *model) problem.Kind {
					if !m.mayAdd(a, m.pending()) {
						return problem.InvalidRequest
					}
					m.remove(m.pending())
					m.devices = append(m.devices, &device{a: a, created: x.now.Truncate(ms)})
					return ""
				}, func(s totp.State) (totp.State, error) { return totp.Enroll(s, a, x.now) })
			},
			"import": func(t *rapid.T) {
				a := x.draw(t)
				x.do(t, func(m *model) problem.Kind {
					if !m.mayAdd(a, nil) {
						return problem.InvalidRequest
					}
					m.devices = append(m.devices, &device{a: a, created: x.now.Truncate(ms), confirmed: true})
					return ""
				}, func(s totp.State) (totp.State, error) { return totp.Import(s, a, x.now) })
			},
			"confirm": func(t *rapid.T) {
				typed := x.typed(t)
				if d := x.m.pending(); d != nil && rapid.Bool().Draw(t, "right") {
					typed = codeFor(d.a, x.now)
				}
				x.do(t, func(m *model) problem.Kind { return m.confirm(typed, x.now) },
					func(s totp.State) (totp.State, error) {
						s, _, err := totp.Confirm(s, typed, x.now)
						return s, err
					})
			},
			"check":  x.check,
			"check2": x.check, // more often than the other transitions
			"check3": x.check,
			"remove": func(t *rapid.T) {
				id := x.anyID(t)
				x.do(t, func(m *model) problem.Kind {
					for _, d := range m.devices {
						if d.a.ID == id {
							m.remove(d)
							return ""
						}
					}
					return problem.NotFound
				}, func(s totp.State) (totp.State, error) { s, _, err := totp.Remove(s, id, x.now); return s, err })
			},
			"rename": func(t *rapid.T) {
				id, name := x.anyID(t), rapid.SampledFrom([]string{"A", "B", "H"}).Draw(t, "name")
				x.do(t, func(m *model) problem.Kind { return m.rename(id, name) },
					func(s totp.State) (totp.State, error) {
						s, _, err := totp.Rename(s, id, name, x.now)
						return s, err
					})
			},
		})
	})
}

func (x *machine) check(t *rapid.T) {
	typed := x.typed(t)
	x.do(t, func(m *model) problem.Kind { return m.check(typed, x.now) },
		func(s totp.State) (totp.State, error) {
			s, a, err := totp.Check(s, typed, x.now)
			if err == nil {
				x.last = typed
				if !a.UsedAt.Equal(x.now.Truncate(ms)) || a.Pending() {
					t.Fatalf("accepted by %+v", a)
				}
			}
			return s, err
		})
}

func (m *model) confirm(typed string, now time.Time) problem.Kind {
	d := m.pending()
	if d == nil {
		return problem.NotFound
	}
	if len(typed) != d.a.Digits || typed == "ABCDEF" {
		return problem.InvalidRequest
	}
	if d.accept(typed, now) {
		d.confirmed, d.wrong = true, 0
		return ""
	}
	if d.wrong++; d.wrong == 10 {
		m.remove(d)
	}
	return problem.WrongCode
}

func (m *model) check(typed string, now time.Time) problem.Kind {
	some, accepted, fits := false, false, false
	for _, d := range m.devices {
		some = some || d.confirmed
		fits = fits || d.confirmed && len(typed) == d.a.Digits && typed != "ABCDEF"
	}
	if !some {
		return problem.NotFound
	}
	if len(m.failures) >= 10 {
		return problem.TooManyChecks
	}
	if !fits {
		return problem.InvalidRequest
	}
	for _, d := range m.devices {
		if d.confirmed && d.accept(typed, now) {
			accepted = true
		}
	}
	if !accepted {
		m.wrongCode(now)
		return problem.WrongCode
	}
	return ""
}

func (m *model) rename(id, name string) problem.Kind {
	var named *device
	for _, d := range m.devices {
		if d.a.ID == id {
			named = d
		}
	}
	if named == nil {
		return problem.NotFound
	}
	for _, d := range m.devices {
		if d != named && d.a.Name == name {
			return problem.InvalidRequest
		}
	}
	named.a.Name = name
	return ""
}
