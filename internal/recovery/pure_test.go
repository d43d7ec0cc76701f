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

	"golang.org/x/crypto/cryptobyte"
	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
)

// toCapacity is s with all that lies behind its lists.
func toCapacity(s recovery.State) recovery.State {
	s.Codes, s.Failures = s.Codes[:cap(s.Codes)], s.Failures[:cap(s.Failures)]
	return s
}

// scribble overwrites every list of a result up to its capacity.
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
			old.Failures = append(old.Failures, noon.Add(time.Duration(seconds)*time.Second))
		}
		for i := range old.Codes {
			if rapid.Bool().Draw(t, "used") {
				old.Codes[i].UsedAt = noon
			}
		}
		// Room behind each list: an append to a shared list would land there.
		old.Codes, old.Failures = slices.Grow(old.Codes, 4), slices.Grow(old.Failures, 4)
		made := deepCopy(fresh)
		before, room, madeBefore := deepCopy(old), deepCopy(toCapacity(old)), deepCopy(made)

		var after recovery.State
		switch rapid.IntRange(0, 3).Draw(t, "transition") {
		case 0:
			after, _, _ = try(t, old, rapid.SampledFrom(codes).Draw(t, "code"), noon)
		case 1:
			after, _, _ = try(t, old, wrong, noon)
		case 2:
			after = old.Replace(made)
		case 3:
			_ = old.Ready(noon)
			old.Append(cryptobyte.NewBuilder(nil))
		}
		scribble(after)
		if !same(old, before) || !same(toCapacity(old), room) || !same(made, madeBefore) {
			t.Fatalf("the argument is now\n%+v\nand was\n%+v", old, before)
		}
	})
}

// However state, outcomes and errors are printed or encoded, no code is in it,
// in no spelling.
func TestR10_NoCodeInAnyStateOrError(t *testing.T) {
	codes, s := newSet(t, 1)
	locked := withFailures(s, noon, noon, noon, noon, noon, noon, noon, noon, noon, noon)
	gone := deepCopy(s)
	gone.Key = [4]byte{}
	printed := []any{s, &s}
	misread := codes[0] + "23"
	for _, code := range []string{codes[0], codes[1], misread, wrong} {
		plain := typed(t, code)
		for _, state := range []recovery.State{s, locked, gone, {}} {
			use := recovery.AttemptWith(quick, plain, keyring, noon)
			after, _, err := use(state)
			h := state.Hash(plain[:15], keyring) // of no code's form: hashes nothing slowly
			_, _, stale := recovery.Use(s, recovery.Hashed{}, noon)
			printed = append(printed, after, err, use, h, &h, stale, struct{ use any }{use}, struct {
				use func(recovery.State) (recovery.State, int, error)
			}{use})
		}
	}
	h := s.Hash(typed(t, codes[2]), keyring)
	printed = append(printed, h, &h)
	_, _, err := recovery.NewWith(quick, strings.NewReader(strings.Repeat("same bytes", 12)), keyring, noon)
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

// spellings is each code as it could be printed.
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
