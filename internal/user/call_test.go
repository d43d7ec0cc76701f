package user_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"twofa/internal/hostcall"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
)

// A change of these bytes is a change of the layout, which needs another version.
func TestRow_LayoutOfVersion3IsFixed(t *testing.T) {
	called := sample
	called.Call = user.Call{ID: hostcall.ID{0: 0xaa, 15: 0xbb}, Delivery: [8]byte{0: 0xcc, 7: 0xdd}, Told: true}
	zeros := strings.Repeat("00", 14)
	version2 := fmt.Sprintf("%x", mustEncode(t, sample))
	want := "03" + version2[2:] + "aa" + zeros + "bb" + "cc000000000000dd" + "01"
	row := mustEncode(t, called)
	if got := fmt.Sprintf("%x", row); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, err := user.Decode(row); err != nil || !reflect.DeepEqual(got, called) {
		t.Errorf("decodes to %+v, %v", got, err)
	}
	none := append(bytes.Clone(row[:len(row)-25]), make([]byte, 25)...) // is written as version 2
	for name, row := range map[string][]byte{
		"no call": none, "cut": row[:len(row)-1], "a byte more": append(bytes.Clone(row), 0), "a bool that is neither": append(bytes.Clone(row[:len(row)-1]), 2),
		"version 2": append([]byte{2}, row[1:]...), "version 4": append([]byte{4}, row[1:]...),
	} {
		if u, err := user.Decode(row); err == nil {
			t.Errorf("%s: decodes to %+v", name, u)
		}
	}
}

// All deliveries of one call count once, and name the last of them.
func TestCountChange_CountsACallOnce(t *testing.T) {
	u, call := user.User{Directory: "main", Name: "x"}, user.Call{ID: hostcall.NewID("1")}
	count := func(c user.Call) error {
		next, err := u.CountChange(c, fixture.Noon)
		u = next
		return err
	}
	for i := range byte(40) {
		call.Delivery = [8]byte{i}
		if err := count(call); err != nil || len(u.Changes) != 1 || u.Call != call {
			t.Fatalf("delivery %d: %d changes, %+v, %v", i, len(u.Changes), u.Call, err)
		}
	}
	u.Call.Told = true
	if err := count(user.Call{ID: hostcall.NewID("2")}); err != nil || len(u.Changes) != 2 || u.Call.Told {
		t.Errorf("another call: %d changes, %+v, %v", len(u.Changes), u.Call, err)
	}
	for range user.MaxChangesPerDay - 2 {
		if err := count(user.Call{}); err != nil || u.Call != (user.Call{}) {
			t.Fatalf("no call: %+v, %v", u.Call, err)
		}
	}
	fixture.Problem(t, count(user.Call{}), problem.TooManyChanges)
	if again := u.Update(user.User{Directory: "main", Name: "x", Phone: fixture.Alice}, fixture.Noon.Add(time.Hour)); again.Call != u.Call {
		t.Errorf("after a Put: %+v", again.Call)
	}
}
