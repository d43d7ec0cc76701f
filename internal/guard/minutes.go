package guard

import (
	"cmp"
	"slices"
	"time"

	"twofa/internal/window"
)

// This file has the rules of counting in minutes. It is pure.
//
// A send of a minute counts until the window after the end of that minute is over: at
// least as long as the window, and less than a minute longer.

// The windows of the limits, in minutes.
const (
	hour = 60
	day  = 24 * hour
)

// maxMinutes is how many minutes can count at the same time: those of a day, the one
// that has begun, and two of clocks that are ahead by at most [window.MaxSkew].
const maxMinutes = day + 1 + 2

// count is how many sends were counted in a minute, and how many of these were given
// back. In a row, both numbers only grow, and returned is at most sent.
type count struct {
	minute         int64 // Unix time in minutes
	sent, returned uint32
}

func (c count) net() int { return int(c.sent) - int(c.returned) }

// minutes are counts in the order of their minutes, each minute once. No method changes
// a list in place.
type minutes []count

// minuteOf is the minute of a time after 1970.
func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// latest is the last minute that the clock of another process can have written.
func latest(now time.Time) int64 { return minuteOf(now.Add(window.MaxSkew)) }

// join joins two lists. both makes one count of two of the same minute.
func join(a, b minutes, both func(a, b count) count) minutes {
	joined := make(minutes, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch cmp.Compare(a[0].minute, b[0].minute) {
		case -1:
			joined, a = append(joined, a[0]), a[1:]
		case 1:
			joined, b = append(joined, b[0]), b[1:]
		default:
			joined, a, b = append(joined, both(a[0], b[0])), a[1:], b[1:]
		}
	}
	return append(append(joined, a...), b...)
}

// plus adds up the counts of two lists.
func (m minutes) plus(other minutes) minutes {
	return join(m, other, func(a, b count) count { return count{a.minute, a.sent + b.sent, a.returned + b.returned} })
}

// newest joins two states of one row. Its numbers only grow, so the larger one is the
// newer one.
func (m minutes) newest(other minutes) minutes {
	return join(m, other, func(a, b count) count { return count{a.minute, max(a.sent, b.sent), max(a.returned, b.returned)} })
}

// visible leaves out what does not count: minutes that are over, and those after latest,
// which a wrong clock wrote. A limit must not count the latter, because a refusal writes
// nothing: the limit could last as long as that clock is ahead.
func (m minutes) visible(now time.Time) minutes {
	from, to := minuteOf(now)-day, latest(now)
	return slices.DeleteFunc(slices.Clone(m), func(c count) bool { return c.minute < from || c.minute > to })
}

// settle makes a list fit to be kept: at most maxMinutes, none of which is over, with at
// most as many returned as sent. Minutes after latest are set to latest, so that they
// count for at most a day and [window.MaxSkew].
func (m minutes) settle(now time.Time) minutes {
	var ahead count
	for _, c := range m {
		if c.minute > latest(now) {
			ahead.sent, ahead.returned = ahead.sent+c.sent, ahead.returned+c.returned
		}
	}
	settled := m.visible(now)
	if ahead.sent > 0 {
		ahead.minute = latest(now)
		settled = settled.plus(minutes{ahead})
	}
	for i, c := range settled {
		settled[i].returned = min(c.returned, c.sent)
	}
	return slices.DeleteFunc(settled, func(c count) bool { return c.sent == 0 })
}

// used is how many sends of the lists count in a window, in minutes, that ends at now.
func used(window int64, now time.Time, lists ...minutes) (n int) {
	for _, list := range lists {
		for _, c := range list {
			if c.minute >= minuteOf(now)-window && c.minute <= latest(now) {
				n += c.net()
			}
		}
	}
	return max(0, n)
}

// fullFor is how long the window will still hold limit sends or more, 0 if it holds
// fewer now. limit is at least 1. At the end of that time, one send fits, if none is counted meanwhile.
func fullFor(limit int, window int64, now time.Time, lists ...minutes) time.Duration {
	left := used(window, now, lists...)
	if left < limit {
		return 0
	}
	var all minutes
	for _, list := range lists {
		all = all.plus(list)
	}
	var full time.Duration
	for _, c := range all {
		if c.minute < minuteOf(now)-window || c.minute > latest(now) {
			continue
		}
		full = time.Unix((c.minute+1+window)*60, 0).Sub(now)
		if left -= c.net(); left < limit {
			break
		}
	}
	return full
}
