package user_test

import (
	"context"
	"reflect"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/internal/user"
)

// rig is the service, with a second store of users that has no faults.
type rig struct {
	*testrig.Rig
	kept *user.Store
}

func newRig(t *testing.T) rig {
	t.Helper()
	r := testrig.New(t)
	return rig{r, &user.Store{Table: r.Table.Table, Keys: r.Keys}}
}

// keep stores a user that has a revision.
func (r rig) keep(u user.User) otp.UserKey {
	r.TB.Helper()
	key := r.kept.Key(u.Directory, u.Name)
	got, err := r.kept.Put(context.Background(), key, always(u))
	if err != nil || !reflect.DeepEqual(got, u) {
		r.TB.Fatalf("got %+v, %v", got, err)
	}
	return key
}

func (r rig) erase(key otp.UserKey) {
	r.TB.Helper()
	if err := r.kept.Erase(context.Background(), key, fixture.Noon, agree); err != nil {
		r.TB.Fatal(err)
	}
}

// seal makes the content of the row of a name.
func (r rig) seal(plain []byte, name string) []byte {
	return r.Keys.Seal(plain, string(r.kept.Key("main", name)))
}

// wantKept makes sure that the user is kept as given.
func (r rig) wantKept(want user.User) {
	r.TB.Helper()
	if got := r.Registered(want.Name); !reflect.DeepEqual(got, want) {
		r.TB.Errorf("%+v is kept, want %+v", got, want)
	}
}

// wantTrips makes sure of a call's storage round trips.
func (r rig) wantTrips(want int64, call func(ctx context.Context)) {
	r.TB.Helper()
	if got := r.Trips(call); got != want {
		r.TB.Errorf("%d round trips, want %d", got, want)
	}
}

// conflict runs write once, as another process that is faster than the next
// Update.
func (r rig) conflict(write func()) {
	r.Table.Before(func(testrig.Call) error {
		r.Table.Before(nil)
		write()
		return nil
	})
}

// always is a decision for one user, whoever was there before.
func always(u user.User) func(user.User) (user.User, error) {
	return func(user.User) (user.User, error) { return u, nil }
}

// agree lets every user be erased.
func agree(user.User) error { return nil }
