package recipient_test

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/recipient"
	"twofa/internal/testing/fixture"
)

// ids returns the ids of an address for the random bytes 0 to n-1. Numbers in
// sequence are the hardest input: all that differs is a few bits at the end.
func ids(s *recipient.Store, address string, n int) []otp.ID {
	list := make([]otp.ID, n)
	for i := range list {
		var random [8]byte
		binary.BigEndian.PutUint64(random[:], uint64(i))
		list[i] = s.NewID(s.Key(address), random)
	}
	return list
}

// common returns how many digits two ids have in common at their beginning.
func common(a, b otp.ID) int {
	n := 0
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n - len("VE")
}

// distance returns how many of their 128 bits differ.
func distance(a, b otp.ID) int {
	x, y, n := a.Bytes(), b.Bytes(), 0
	for i := range x {
		n += bits.OnesCount8(x[i] ^ y[i])
	}
	return n
}

// R30, attack 40. Ids of one address are no more alike than ids of two addresses, and
// none has a part of the row's key.
func TestR30_IDsOfOneAddressShareNothing(t *testing.T) {
	const n = 3000
	s := &recipient.Store{Keys: fixture.Keys(t, 1)}
	for _, address := range []string{fixture.Alice, fixture.Bob, fixture.AliceMail, "+14155550124", "x@example.com"} {
		key, list := string(s.Key(address)), ids(s, address, n)
		for _, id := range list {
			for i := 0; i+8 <= len(key); i++ {
				if strings.Contains(string(id), key[i:i+8]) {
					t.Errorf("%s: %s has a part of the row's key %s", address, id, key)
				}
			}
		}
		// 4.5 million pairs have about 5 digits in common by chance, and 9 with a
		// probability under 1 in 10,000.
		sorted := slices.Sorted(slices.Values(list))
		for i := range n - 1 {
			if same := common(sorted[i], sorted[i+1]); same >= 9 {
				t.Errorf("%s: %s and %s begin alike", address, sorted[i], sorted[i+1])
			}
		}
		// Two random ids differ in 64 bits, with a standard deviation of 5.7. The mean
		// of 3,000 pairs is within 0.6 of that.
		sum := 0
		for i := range n {
			d := distance(list[i], list[(i+1)%n])
			if sum += d; d < 30 || d > 98 {
				t.Errorf("%s: %s and %s differ in %d bits", address, list[i], list[(i+1)%n], d)
			}
		}
		if mean := float64(sum) / n; mean < 63.4 || mean > 64.6 {
			t.Errorf("%s: ids differ in %.2f bits on average, want 64", address, mean)
		}
	}
}

// R30. The same random bytes at two addresses, or under two deployments' secrets, give
// ids that are not alike.
func TestR30_IDsOfTwoAddressesShareNothing(t *testing.T) {
	s, other := &recipient.Store{Keys: fixture.Keys(t, 1)}, &recipient.Store{Keys: fixture.Keys(t, 50)}
	alice := ids(s, fixture.Alice, 100)
	for name, list := range map[string][]otp.ID{
		"another address": ids(s, fixture.Bob, 100), "a number that differs in a digit": ids(s, "+14155550124", 100),
		"another deployment": ids(other, fixture.Alice, 100),
	} {
		for i := range list {
			if d := distance(alice[i], list[i]); common(alice[i], list[i]) >= 7 || d < 30 || d > 98 {
				t.Errorf("%s: %s and %s", name, alice[i], list[i])
			}
		}
	}
}
