package recovery_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
)

// toCapacity returns s with its lists extended to their capacity.
func toCapacity(s recovery.State) recovery.State {
	s.Codes, s.Failures = s.Codes[:cap(s.Codes)], s.Failures[:cap(s.Failures)]
	return s
}

// scribble overwrites every list of a result, up to its capacity.
func scribble(s recovery.State) {
	s = toCapacity(s)
	for i := range s.Codes {
		s.Codes[i] = recovery.Code{MAC: [32]byte{0xee}}
	}
	for i := range s.Failures {
		s.Failures[i] = time.Unix(1, 0)
	}
}

func TestTransitions_NeverChangeTheirArguments(t *testing.T) {
	codes, set := newSet(t, 1)
	_, fresh := newSet(t, 2)
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(-26*3600, 200), 0, 12).Draw(t, "failures")
		slices.Sort(times)
		old := deepCopy(set)
		for _, seconds := range times {
			old.Failures = append(old.Failures, fixture.Noon.Add(time.Duration(seconds)*time.Second))
		}
		for i := range old.Codes {
			if rapid.Bool().Draw(t, "used") {
				old.Codes[i].UsedAt = fixture.Noon
			}
		}
		// Spare capacity: an append to a shared list would write there.
		old.Codes, old.Failures = slices.Grow(old.Codes, 4), slices.Grow(old.Failures, 4)
		made := deepCopy(fresh)
		before, room, madeBefore := deepCopy(old), deepCopy(toCapacity(old)), deepCopy(made)

		var after recovery.State
		switch rapid.IntRange(0, 3).Draw(t, "transition") {
		case 0:
			after, _, _ = recovery.AttemptWith(quick, typed(t, rapid.SampledFrom(codes).Draw(t, "code")), keyring, fixture.Noon)(old)
		case 1:
			after, _, _ = recovery.AttemptWith(quick, typed(t, wrong), keyring, fixture.Noon)(old)
		case 2:
			after = old.Replace(made)
		case 3:
			_ = old.Ready(fixture.Noon)
			_ = old.Valid()
		}
		scribble(after)
		if !same(old, before) || !same(toCapacity(old), room) || !same(made, madeBefore) {
			t.Fatalf("the argument is now\n%+v\nand was\n%+v", old, before)
		}
	})
}

// However states, outcomes and errors are printed or encoded, the text has no code,
// in any spelling.
func TestR10_NoCodeInAnyStateOrError(t *testing.T) {
	codes, s := newSet(t, 1)
	removed := deepCopy(s)
	removed.Key = [4]byte{}
	printed := []any{s, &s}
	misread := codes[0] + "23"
	for _, code := range []string{codes[0], codes[1], misread, wrong} {
		plain := typed(t, code)
		for _, state := range []recovery.State{s, locked(s), removed, {}} {
			use := recovery.AttemptWith(quick, plain, keyring, fixture.Noon)
			after, _, err := use(state)
			h := hashed(t, state, plain[:15], keyring) // not the form of a code: not hashed
			_, _, stale := recovery.Use(s, recovery.Hashed{}, fixture.Noon)
			printed = append(printed, after, err, use, h, &h, stale, struct{ use any }{use}, struct {
				use func(recovery.State) (recovery.State, int, error)
			}{use})
		}
	}
	h := hashed(t, s, typed(t, codes[2]), keyring)
	printed = append(printed, h, &h)
	_, _, err := recovery.NewWith(quick, strings.NewReader(strings.Repeat("same bytes", 12)), keyring, fixture.Noon)
	printed = append(printed, wantKind(t, err, problem.Internal))

	forbidden := spellings(t, append(slices.Clone(codes), misread, wrong))
	for _, p := range printed {
		var all strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&all, verb+"\n", p)
		}
		if e, ok := p.(*problem.Error); ok {
			fmt.Fprintf(&all, "%+v\n%+v\n", *e, e.Fields)
			for err := error(e); err != nil; err = errors.Unwrap(err) {
				fmt.Fprintln(&all, err.Error())
			}
		}
		if j, err := json.Marshal(p); err == nil {
			all.Write(j)
		}
		for _, f := range forbidden {
			if strings.Contains(strings.ToLower(all.String()), strings.ToLower(f)) {
				t.Errorf("%T is printed with the code, as %s", p, f)
			}
		}
	}
}

// spellings returns each code in all the ways in which it could be printed.
func spellings(t *testing.T, codes []string) []string {
	var all []string
	for _, code := range codes {
		plain := strings.ReplaceAll(code, "-", "")
		bits, err := base32.NewEncoding(otp.Alphanumeric.Symbols()).WithPadding(base32.NoPadding).DecodeString(plain[:16])
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{[]byte(plain), []byte(code), bits} {
			list := strings.Trim(fmt.Sprint(b), "[]")
			all = append(all, hex.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b), list, strings.ReplaceAll(list, " ", ","))
		}
		all = append(all, plain, code, plain[:8], code[:9])
	}
	return all
}
