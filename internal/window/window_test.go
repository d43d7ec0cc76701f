package window_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

// at returns the times that are that long after noon.
func at(after ...time.Duration) (times []time.Time) {
	for _, d := range after {
		times = append(times, fixture.Noon.Add(d))
	}
	return times
}

const (
	ms  = time.Millisecond
	day = window.Day
)

func TestSettle(t *testing.T) {
	for name, tc := range map[string]struct{ events, want []time.Duration }{
		"no events":                       {nil, nil},
		"a day old, and a bit younger":    {[]time.Duration{-day, -day + 1}, []time.Duration{-day + 1}},
		"all too old":                     {[]time.Duration{-2 * day, -day - 1}, nil},
		"in the future, by MaxSkew":       {[]time.Duration{0, window.MaxSkew}, []time.Duration{0, window.MaxSkew}},
		"in the future, by a wrong clock": {[]time.Duration{ms, window.MaxSkew + ms, 1000 * day}, []time.Duration{ms, window.MaxSkew, window.MaxSkew}},
	} {
		if got := window.Settle(at(tc.events...), fixture.Noon); !slices.EqualFunc(got, at(tc.want...), time.Time.Equal) {
			t.Errorf("%s: got %v, want %v", name, got, at(tc.want...))
		}
	}
}

func TestRecord(t *testing.T) {
	for name, tc := range map[string]struct {
		events []time.Duration
		now    time.Duration
		want   []time.Duration
	}{
		"the first one":               {nil, time.Hour, []time.Duration{time.Hour}},
		"one more":                    {[]time.Duration{0}, time.Hour, []time.Duration{0, time.Hour}},
		"in whole milliseconds":       {nil, ms + 999_999, []time.Duration{ms}},
		"by a clock that is behind":   {[]time.Duration{0, ms}, -time.Minute, []time.Duration{0, ms, ms}},
		"two within one millisecond":  {[]time.Duration{ms}, ms + 1, []time.Duration{ms, ms}},
		"after one of a broken clock": {[]time.Duration{1000 * day}, 0, []time.Duration{1000 * day, 1000 * day}},
	} {
		// A clock of another zone: events are kept in UTC.
		now := fixture.Noon.Add(tc.now).In(time.FixedZone("", 3600))
		if got := window.Record(at(tc.events...), now); !slices.Equal(got, at(tc.want...)) {
			t.Errorf("%s: got %v, want %v", name, got, at(tc.want...))
		}
	}
}

func TestFullFor(t *testing.T) {
	events := []time.Duration{-3 * time.Hour, -time.Hour, -time.Minute}
	for name, tc := range map[string]struct {
		events []time.Duration
		limit  int
		window time.Duration
		want   time.Duration
	}{
		"no events":                       {nil, 1, day, 0},
		"fewer than the limit":            {events, 4, day, 0},
		"the limit":                       {events, 3, day, 21 * time.Hour},
		"more than the limit":             {events, 2, day, 23 * time.Hour},
		"a limit of one":                  {events, 1, day, day - time.Minute},
		"a window without them":           {events, 1, time.Second, 0},
		"a window that ends now":          {events, 1, time.Minute, 0},
		"a window that ends soon":         {events, 1, time.Minute + 1, 1},
		"no window":                       {[]time.Duration{0}, 1, 0, 0},
		"in the future: judged as of now": {[]time.Duration{time.Minute}, 1, time.Hour, time.Hour},
	} {
		if got := window.FullFor(at(tc.events...), tc.limit, tc.window, fixture.Noon); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

func TestLaterEarlierAndLatest(t *testing.T) {
	a, b := fixture.Noon, fixture.Noon.Add(1)
	if !window.Later(a, b).Equal(b) || !window.Later(b, a).Equal(b) || !window.Earlier(a, b).Equal(a) || !window.Earlier(b, a).Equal(a) {
		t.Error("Later or Earlier chose the wrong time")
	}
	if got := window.Latest(b); !got.Equal(a.Add(window.MaxSkew)) {
		t.Errorf("Latest is %v", got)
	}
}

// Processes whose clocks differ by up to MaxSkew record events, and one clock may
// be broken. The list stays in order, no event stays for over Day and MaxSkew,
// and FullFor is exactly how long a naive count refuses.
func TestEvents_UnderClocksThatDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []time.Time
		clock := fixture.Noon
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			clock = clock.Add(time.Duration(rapid.Int64Range(0, int64(6*time.Hour)).Draw(t, "pause")))
			now := clock.Add(time.Duration(rapid.Int64Range(int64(-window.MaxSkew), int64(window.MaxSkew)).Draw(t, "skew")))
			if rapid.IntRange(0, 20).Draw(t, "broken") == 0 {
				now = now.AddDate(50, 0, 0)
			}
			events = window.Record(window.Settle(events, now), now)
			if last := events[len(events)-1]; !last.Equal(window.Stamp(last)) || last.Before(window.Stamp(now)) {
				t.Fatalf("recorded at %v as %v", now, last)
			}

			events = window.Settle(events, clock)
			if !slices.IsSortedFunc(events, time.Time.Compare) {
				t.Fatalf("out of order: %v", events)
			}
			for _, e := range events {
				if age := clock.Sub(e); age >= window.Day || e.After(window.Latest(clock)) {
					t.Fatalf("%v is kept at %v", e, clock)
				}
			}
			limit := rapid.IntRange(1, 5).Draw(t, "limit")
			length := rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Minute, window.Day}).Draw(t, "window")
			wait := window.FullFor(events, limit, length, clock)
			if n := count(events, clock, clock.Add(wait), length); n >= limit {
				t.Fatalf("%d events are in the window after %v, limit %d: %v", n, wait, limit, events)
			}
			if n := count(events, clock, clock.Add(wait-1), length); wait > 0 && n < limit {
				t.Fatalf("%d events are in the window before %v is over, limit %d: %v", n, wait, limit, events)
			}
		}
		if left := window.Settle(events, clock.Add(window.Day+window.MaxSkew)); len(left) > 0 {
			t.Fatalf("left: %v", left)
		}
	})
}

// count is how many events are in the window that ends then. Events after now
// count as of now.
func count(events []time.Time, now, then time.Time, length time.Duration) (n int) {
	for _, e := range events {
		if then.Sub(window.Earlier(e, now)) < length {
			n++
		}
	}
	return n
}

func TestCount(t *testing.T) {
	before := at(-day, -time.Hour, -time.Minute)
	counted, wait := window.Count(before, 3, fixture.Noon)
	if want := at(-time.Hour, -time.Minute, 0); wait != 0 || !slices.EqualFunc(counted, want, time.Time.Equal) {
		t.Errorf("counted %v, wait %v; want %v", counted, wait, want)
	}
	if !slices.EqualFunc(before, at(-day, -time.Hour, -time.Minute), time.Time.Equal) {
		t.Errorf("the caller's list was changed: %v", before)
	}
	again, wait := window.Count(counted, 3, fixture.Noon.Add(time.Minute))
	if wait != day-time.Hour-time.Minute || len(again) != 3 {
		t.Errorf("a full day: %d events, wait %v", len(again), wait)
	}
}
