package guard

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

var noon = fixture.Noon

// at returns sends, given back, of the minute that is that many minutes after noon.
func at(after int64, sent, returned uint32) count {
	return count{minuteOf(noon) + after, sent, returned}
}

func TestUsed_AMinuteCountsUntilTheWindowAfterItsEndIsOver(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		c      count
		window int64
		after  time.Duration // now, after noon
		want   int
	}{
		"at once":                       {at(0, 3, 0), hour, 0, 3},
		"less what was given back":      {at(0, 3, 2), hour, 0, 1},
		"the last moment of an hour":    {at(0, 3, 0), hour, 61*time.Minute - 1, 3},
		"an hour after the minute":      {at(0, 3, 0), hour, 61 * time.Minute, 0},
		"the last moment of a day":      {at(0, 3, 0), day, window.Day + time.Minute - 1, 3},
		"a day after the minute":        {at(0, 3, 0), day, window.Day + time.Minute, 0},
		"the future, by MaxSkew":        {at(2, 3, 0), hour, 0, 3},
		"the future, of a wrong clock":  {at(3, 3, 0), hour, 0, 0},
		"the future, a moment too soon": {at(3, 3, 0), hour, time.Minute - 1, 0},
		"the future, just near enough":  {at(3, 3, 0), hour, time.Minute, 3},
	} {
		if got := used(tc.window, noon.Add(tc.after), minutes{tc.c}); got != tc.want {
			t.Errorf("%s: %d count, want %d", name, got, tc.want)
		}
	}
}

func TestFullFor(t *testing.T) {
	t.Parallel()
	const m = time.Minute
	for name, tc := range map[string]struct {
		limit int
		after time.Duration
		lists []minutes
		want  time.Duration
	}{
		"nothing":                       {1, 0, nil, 0},
		"one fits":                      {3, 0, []minutes{{at(0, 2, 0)}}, 0},
		"full":                          {3, 0, []minutes{{at(0, 3, 0)}}, 61 * m},
		"full, later":                   {3, 60*m + time.Second, []minutes{{at(0, 3, 0)}}, 59 * time.Second},
		"given back":                    {3, 0, []minutes{{at(0, 3, 1)}}, 0},
		"the oldest minute is enough":   {3, 0, []minutes{{at(-10, 1, 0), at(0, 2, 0)}}, 51 * m},
		"the oldest is not enough":      {2, 0, []minutes{{at(-10, 1, 0), at(-5, 1, 0), at(0, 1, 0)}}, 56 * m},
		"over several lists":            {2, 0, []minutes{{at(-5, 1, 0)}, {at(-10, 1, 0)}, {at(-10, 1, 0), at(0, 1, 0)}}, 56 * m},
		"given back in another list":    {2, 0, []minutes{{at(-5, 2, 0)}, {at(-5, 0, 1)}}, 0},
		"over the limit by another one": {1, 0, []minutes{{at(-5, 1, 0)}, {at(-5, 3, 0), at(-1, 1, 0)}}, 60 * m},
		"a clock that is ahead":         {1, 0, []minutes{{at(2, 1, 0)}}, 63 * m},
		"a clock that is wrong":         {1, 0, []minutes{{at(3, 1, 0)}}, 0},
	} {
		if got := fullFor(tc.limit, hour, noon.Add(tc.after), tc.lists...); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// The counts agree with a list of times: no send counts for less than the window, or for
// a minute more. A client that returns when it was told to is never refused.
func TestMinutes_AgreeWithAListOfTimes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.SampledFrom([]int64{hour, day}).Draw(t, "window")
		exact := time.Duration(length) * time.Minute
		var times []time.Time
		lists := make([]minutes, 3)
		for range rapid.IntRange(0, 40).Draw(t, "sends") {
			ago := time.Duration(rapid.Int64Range(0, int64(exact)+int64(3*time.Minute)).Draw(t, "ago"))
			at := noon.Add(-ago)
			times = append(times, at)
			i := rapid.IntRange(0, 2).Draw(t, "list")
			lists[i] = lists[i].plus(minutes{{minuteOf(at), 1, 0}})
		}
		now := noon.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "later")))
		counted := func(now time.Time, longer time.Duration) (n int) {
			for _, at := range times {
				if now.Sub(at) < exact+longer {
					n++
				}
			}
			return n
		}
		n := used(length, now, lists...)
		if n < counted(now, 0) || n > counted(now, time.Minute) {
			t.Fatalf("%d count, want %d to %d", n, counted(now, 0), counted(now, time.Minute))
		}
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		wait := fullFor(limit, length, now, lists...)
		if (wait > 0) != (n >= limit) {
			t.Fatalf("%d of %d count, and the wait is %v", n, limit, wait)
		}
		if wait == 0 {
			return
		}
		if again := fullFor(limit, length, now.Add(wait), lists...); again != 0 {
			t.Errorf("after the wait of %v there is another one of %v", wait, again)
		}
		if soon := fullFor(limit, length, now.Add(wait-1), lists...); soon != 1 {
			t.Errorf("1 ns before the end of the wait it is %v", soon)
		}
	})
}

func TestSettle(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ m, want minutes }{
		"nothing":                {nil, nil},
		"over":                   {minutes{at(-day-1, 5, 0), at(-day, 4, 1)}, minutes{at(-day, 4, 1)}},
		"the future, by MaxSkew": {minutes{at(1, 1, 0), at(2, 1, 0)}, minutes{at(1, 1, 0), at(2, 1, 0)}},
		"a wrong clock":          {minutes{at(2, 1, 1), at(3, 2, 1), at(9_000_000, 4, 0)}, minutes{at(2, 7, 2)}},
		"a wrong clock alone":    {minutes{at(3, 2, 0)}, minutes{at(2, 2, 0)}},
		"too many given back":    {minutes{at(0, 1, 3)}, minutes{at(0, 1, 1)}},
		"given back, never sent": {minutes{at(-1, 0, 3), at(0, 1, 0)}, minutes{at(0, 1, 0)}},
	} {
		if got := tc.m.settle(noon); !equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func equal(a, b minutes) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// drawMinutes draws minutes of a day and a bit, in order.
func drawMinutes(t *rapid.T, name string) (m minutes) {
	for minute := range rapid.MapOf(rapid.Int64Range(-day-5, 10), rapid.Just(true)).Draw(t, name) {
		sent := rapid.Uint32Range(1, 50).Draw(t, "sent")
		m = m.plus(minutes{at(minute, sent, rapid.Uint32Range(0, sent).Draw(t, "returned"))})
	}
	return m
}

// Of two states of a row, the newer one is found in any order, and adding up forgets no
// send.
func TestMinutes_StatesAndSums(t *testing.T) {
	t.Parallel()
	total := func(m minutes) (n int) {
		for _, c := range m {
			n += c.net()
		}
		return n
	}
	rapid.Check(t, func(t *rapid.T) {
		old, more, other := drawMinutes(t, "old"), drawMinutes(t, "more"), drawMinutes(t, "other")
		next := old.plus(more)
		if !equal(old.newest(next), next) || !equal(next.newest(old), next) || !equal(next.newest(next), next) {
			t.Fatalf("the newer state of %v and %v was not found", old, next)
		}
		if !equal(old.newest(other), other.newest(old)) {
			t.Fatalf("the newest of %v and %v depends on their order", old, other)
		}
		if total(next) != total(old)+total(more) {
			t.Fatalf("the sum of %v and %v is %v", old, more, next)
		}
		for i := 1; i < len(next); i++ {
			if next[i-1].minute >= next[i].minute {
				t.Fatalf("not in order: %v", next)
			}
		}
	})
}

func TestRow_TheFullestOneFitsAndIsReadAgain(t *testing.T) {
	t.Parallel()
	var full minutes
	for minute := int64(-2 * day); minute < day; minute++ {
		full = append(full, at(minute, math.MaxUint32/day, math.MaxUint32/day))
	}
	full = full.settle(noon)
	if len(full) != maxMinutes {
		t.Fatalf("a settled list has %d minutes, want %d", len(full), maxMinutes)
	}
	encoded, err := encode(full)
	if err != nil {
		t.Fatal(err)
	}
	keys := fixture.Keys(t, 1)
	if box := keys.Seal(encoded, "g"); len(box) > store.MaxData/2+1024 {
		t.Errorf("%d bytes are stored, which leaves too little of %d for a later version", len(box), store.MaxData)
	}
	if again, err := decode(encoded); err != nil || !equal(again, full) {
		t.Errorf("read again as %d minutes, %v", len(again), err)
	}
	if _, err := encode(append(full, at(100, 1, 0))); err == nil {
		t.Error("a list that cannot be read again was written")
	}
	if until := keepUntil(full); !until.Equal(noon.Add(window.Day + 3*time.Minute)) {
		t.Errorf("kept until %v", until)
	}
	if until := keepUntil(nil); !until.IsZero() {
		t.Errorf("an empty list is kept until %v", until)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range []minutes{nil, {at(0, 1, 0)}, {at(-5, 2, 2), at(0, 7, 1)}} {
		encoded, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
		f.Add(append(encoded, 0))
		f.Add(encoded[:len(encoded)-1])
	}
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m, err := decode(encoded)
		if err != nil {
			if m != nil {
				t.Fatal("a part is returned beside the error")
			}
			return
		}
		for i, c := range m {
			if c.sent == 0 || c.returned > c.sent || i > 0 && c.minute <= m[i-1].minute {
				t.Fatalf("not valid: %v", m)
			}
		}
		if again, err := encode(m); err != nil || string(again) != string(encoded) {
			t.Fatalf("%x is written as %x, %v", encoded, again, err)
		}
	})
}

func TestDecode_RefusesWhatEncodeNeverWrites(t *testing.T) {
	t.Parallel()
	good, err := encode(minutes{at(0, 2, 1), at(1, 1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	changed := func(i int, b byte) []byte {
		bad := append([]byte(nil), good...)
		bad[i] = b
		return bad
	}
	for name, bad := range map[string][]byte{
		"nothing": {}, "another version": changed(0, 2), "a minute of no clock": changed(1, 1), "no first count": good[:9], "a first count later": changed(10, 1),
		"a minute twice": changed(20, 0), "no send": changed(24, 0), "more returned than sent": changed(18, 3), "a byte too few": good[:28], "a byte too many": append(good[:29:29], 0),
	} {
		if m, err := decode(bad); err == nil {
			t.Errorf("%s: read as %v", name, m)
		}
	}
}
