package recovery_test

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
)

func TestNew_ShowsTenCodesInGroups(t *testing.T) {
	form := regexp.MustCompile(`^[2-9A-HJ-NP-Z]{4}(-[2-9A-HJ-NP-Z]{4}){3}$`)
	codes, s := newSet(t, 1)
	if len(codes) != 10 || len(s.Codes) != 10 || s.Left() != 10 || len(s.Failures) != 0 {
		t.Fatalf("%d codes, state %+v", len(codes), s)
	}
	if s.Key != keyring.Current() || !s.MadeAt.Equal(fixture.Noon) {
		t.Errorf("state %+v", s)
	}
	for i, code := range codes {
		if !form.MatchString(code) {
			t.Errorf("code %d has another form", i)
		}
		if !recovery.IsCode(typed(t, code)) {
			t.Errorf("code %d has not the form of one", i)
		}
		after, _ := use(t, s, code, fixture.Noon, "")
		if after.Left() != 9 || after.Codes[i].UsedAt.IsZero() {
			t.Errorf("code %d is not the one that is kept there", i)
		}
	}
}

// 10 random bytes and 16 symbols of 5 bits are the same number, in base 256 and in
// base 32. So each code is as likely as any other.
func TestR8_CodesAre80RandomBitsUnbiased(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rapid.SliceOfN(rapid.Byte(), 16+100, 16+100).Draw(t, "random")
		codes, s, err := recovery.NewWith(quick, bytes.NewReader(random), keyring, fixture.Noon)
		if err != nil {
			if repeats(random[16:]) {
				return
			}
			t.Fatal(err)
		}
		if !bytes.Equal(s.Salt[:], random[:16]) {
			t.Fatal("the salt is not the random one")
		}
		for i, code := range codes {
			n := new(big.Int)
			for _, symbol := range strings.ReplaceAll(code, "-", "") {
				digit := strings.IndexRune("23456789ABCDEFGHJKLMNPQRSTUVWXYZ", symbol)
				n.Add(n.Lsh(n, 5), big.NewInt(int64(digit)))
			}
			if want := random[16+10*i : 26+10*i]; !bytes.Equal(n.FillBytes(make([]byte, 10)), want) {
				t.Fatalf("code %d is made of other bits than %x", i, want)
			}
		}
	})
}

func repeats(random []byte) bool {
	seen := map[string]bool{}
	for len(random) > 0 {
		if seen[string(random[:10])] {
			return true
		}
		seen[string(random[:10])] = true
		random = random[10:]
	}
	return false
}

func TestNew_EverySymbolIsAsLikelyInEveryPlace(t *testing.T) {
	const sets = 1000
	var counts [16]map[byte]int
	for i := range counts {
		counts[i] = map[byte]int{}
	}
	seen := map[string]bool{}
	random := source(7)
	for range sets {
		codes, _, err := recovery.NewWith(quick, random, keyring, fixture.Noon)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range codes {
			if seen[code] {
				t.Fatal("the same code twice")
			}
			seen[code] = true
			for i, symbol := range []byte(strings.ReplaceAll(code, "-", "")) {
				counts[i][symbol]++
			}
		}
	}
	for place, count := range counts {
		expected := float64(10*sets) / 32
		chi := 0.0
		for _, symbol := range []byte(otp.Alphanumeric.Symbols()) {
			d := float64(count[symbol]) - expected
			chi += d * d / expected
		}
		// 31 degrees of freedom: over 72 in one of 20,000.
		if len(count) != 32 || chi > 72 {
			t.Errorf("place %d: %d symbols, chi square %.1f", place, len(count), chi)
		}
	}
}

func TestNew_FailsWithoutRandomBytesOrKeys(t *testing.T) {
	broken := errors.New("out of order")
	for name, tc := range map[string]struct {
		random io.Reader
		keys   recovery.Keys
	}{
		"no random bytes":              {strings.NewReader(""), keyring},
		"too few for the salt":         {bytes.NewReader(make([]byte, 15)), keyring},
		"too few for the last code":    {io.LimitReader(source(1), 16+99), keyring},
		"an error":                     {iotest.ErrReader(broken), keyring},
		"the same bytes over and over": {bytes.NewReader(make([]byte, 116)), keyring},
		"a key that is not there":      {source(1), noKeys{}},
	} {
		t.Run(name, func(t *testing.T) {
			codes, s, err := recovery.NewWith(quick, tc.random, tc.keys, fixture.Noon)
			wantKind(t, err, problem.Internal)
			if codes != nil || !same(s, recovery.State{}) {
				t.Errorf("%d codes beside the error", len(codes))
			}
		})
	}
}

// noKeys is a keyring without its current secret.
type noKeys struct{}

func (noKeys) Current() [4]byte { return [4]byte{1} }

func (noKeys) RecoveryMAC([4]byte, []byte) (mac [32]byte, ok bool) { return mac, false }

func TestReplace_DropsTheOldCodesAndKeepsTheFailures(t *testing.T) {
	old, s := newSet(t, 1)
	s, _ = use(t, s, old[0], fixture.Noon, "")
	for range 3 {
		s, _ = use(t, s, wrong, fixture.Noon, problem.WrongCode)
	}
	fresh, made := newSet(t, 2)
	made.Failures = append(made.Failures, fixture.Noon) // ignored
	s = s.Replace(made)
	if s.Left() != 10 || len(s.Failures) != 3 {
		t.Errorf("%d codes left, %d failures; want 10 and 3", s.Left(), len(s.Failures))
	}
	for i, code := range old[:7] {
		var e *problem.Error
		s, e = use(t, s, code, fixture.Noon, problem.WrongCode)
		if *e.ChecksLeft != 6-i || s.Left() != 10 {
			t.Errorf("%d checks and %d codes left, want %d and 10", *e.ChecksLeft, s.Left(), 6-i)
		}
	}
	use(t, s, fresh[0], fixture.Noon, problem.TooManyChecks)
	_, after := newSet(t, 3)
	wantKind(t, s.Replace(after).Ready(fixture.Noon), problem.TooManyChecks)
}
