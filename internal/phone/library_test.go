package phone

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"
)

// These tests compare the tables with github.com/nyaruka/phonenumbers, a Go port of
// Google's library, whose metadata is some versions older.

var update = flag.Bool("update", false, "write testdata/refused.txt anew; review what changes in it")

// raceDetector is true if the tests run with the race detector. The library is then 25 times
// slower, so fewer numbers are compared.
var raceDetector bool

// validInLibrary reports whether a + and digits are a valid number for the library. It is
// stricter than the library in two points: a number that the library rewrites is not valid,
// and neither is a number that is longer than E.164 allows.
func validInLibrary(e164 string) bool {
	parsed, err := phonenumbers.Parse(e164, "")
	return err == nil && phonenumbers.IsValidNumber(parsed) &&
		phonenumbers.Format(parsed, phonenumbers.E164) == e164 && len(e164) <= 1+maxDigits
}

// libraryNumbers returns 200 numbers that the library calls valid in a region, always the
// same ones, and its examples.
func libraryNumbers(t *testing.T, m *phonenumbers.PhoneMetadata) (numbers []string) {
	var drawn []*rapid.Generator[string]
	code := fmt.Sprintf("+%d", m.GetCountryCode())
	for _, d := range []*phonenumbers.PhoneNumberDesc{
		m.GetFixedLine(), m.GetMobile(), m.GetTollFree(), m.GetPremiumRate(), m.GetSharedCost(),
		m.GetPersonalNumber(), m.GetVoip(), m.GetPager(), m.GetUan(), m.GetVoicemail(),
	} {
		if p := d.GetNationalNumberPattern(); p != "" {
			drawn = append(drawn, rapid.StringMatching(p))
		}
		if example := code + d.GetExampleNumber(); validInLibrary(example) {
			numbers = append(numbers, example)
		}
	}
	const want = 200
	one := rapid.OneOf(drawn...)
	for seed, found := 0, 0; found < want; seed++ {
		if seed == 100*want {
			t.Fatalf("%s: only %d valid numbers found", m.GetId(), found)
		}
		if e164 := code + one.Example(seed); validInLibrary(e164) {
			numbers = append(numbers, e164)
			found++
		}
	}
	return numbers
}

// refusedFile lists the numbers that the library accepts and the tables refuse, by region.
// reviewedFile has the ranges that they may be in, with the reason of each.
var (
	refusedFile  = filepath.Join("testdata", "refused.txt")
	reviewedFile = filepath.Join("testdata", "reviewed.txt")
)

// Of 200 random valid numbers of each region under the library, and of its examples, the
// tables refuse only those that are in a reviewed range.
func TestRefusesOnlyReviewedNumbersOfTheLibrary(t *testing.T) {
	if raceDetector {
		t.Skip("make test runs this test without the race detector, too")
	}
	t.Parallel()
	collection, err := phonenumbers.MetadataCollection()
	if err != nil {
		t.Fatal(err)
	}
	reviewed := reviewedRanges(t)
	used := map[string]bool{}
	var lines []string
	tried := 0
	for _, m := range collection.GetMetadata() {
		for _, e164 := range libraryNumbers(t, m) {
			tried++
			if _, err := Parse(e164); err == nil {
				continue
			}
			lines = append(lines, m.GetId()+" "+e164+"\n")
			i := slices.IndexFunc(reviewed, func(prefix string) bool { return strings.HasPrefix(e164, prefix) })
			if i < 0 {
				t.Errorf("%s: %s is refused, and is in no range of %s", m.GetId(), e164, reviewedFile)
				continue
			}
			used[reviewed[i]] = true
		}
	}
	slices.Sort(lines)
	refused := []byte(strings.Join(slices.Compact(lines), ""))
	if *update {
		if err := os.WriteFile(refusedFile, refused, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, prefix := range reviewed {
		if !used[prefix] {
			t.Errorf("%s: no number of %s is refused: remove the line", reviewedFile, prefix)
		}
	}
	if was, err := os.ReadFile(refusedFile); err != nil || !bytes.Equal(was, refused) {
		t.Errorf("%s is not up to date (%v): run go test ./internal/phone -run %s -update, and review what has changed", refusedFile, err, t.Name())
	}
	if want := 240 * 200; tried < want {
		t.Errorf("only %d numbers were tried, want at least %d", tried, want)
	}
}

func reviewedRanges(t *testing.T) (prefixes []string) {
	content, err := os.ReadFile(reviewedFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		prefix, reason, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || reason == "" {
			t.Fatalf("%s: a line without a reason: %s", reviewedFile, line)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes
}
