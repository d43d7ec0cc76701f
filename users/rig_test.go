package users_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/users"
)

const (
	number = fixture.Alice
	mail   = fixture.AliceMail
)

// recipients records what the service asks of the store of recipients.
type recipients struct {
	users.Recipients
	erased, canceled []string
	directories      []string // of each Erase
	// during, if set, runs before each Erase. Erase returns its error.
	during func(address string) error
}

func (r *recipients) Erase(ctx context.Context, address, directory string, now time.Time) error {
	if r.during != nil {
		if err := r.during(address); err != nil {
			return err
		}
	}
	r.erased = append(r.erased, address)
	r.directories = append(r.directories, directory)
	return r.Recipients.Erase(ctx, address, directory, now)
}

func (r *recipients) CancelUser(ctx context.Context, address string, user otp.UserKey, now time.Time) error {
	r.canceled = append(r.canceled, address)
	return r.Recipients.CancelUser(ctx, address, user, now)
}

// rig is the service with the use case under test, s.
type rig struct {
	*testrig.Rig
	t          fixture.TB
	s          *users.Service
	recipients *recipients
}

func newRig(t *testing.T) *rig {
	t.Helper()
	whole := testrig.With(t, func(s *config.Settings, _ *app.Parts) {
		s.Countries = map[string]bool{"US": true, "IN": true}
	}, channel.WhatsApp, channel.SMS, channel.Email)
	r := &rig{whole, t, whole.API.Users, &recipients{Recipients: whole.Recipients}}
	r.s.Recipients = r.recipients
	return r
}

// withAlice is newRig with the user alice.
func withAlice(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.put("alice", both, users.Conditions{})
	return r
}

func (r *rig) put(name string, req users.Request, cond users.Conditions) (users.Answer, bool) {
	r.t.Helper()
	a, created, err := r.s.Put(r.Ctx(), name, req, cond)
	if err != nil {
		r.t.Fatalf("put: %v", err)
	}
	return a, created
}

func (r *rig) get(name string) users.Answer {
	r.t.Helper()
	a, err := r.s.Get(r.Ctx(), name)
	if err != nil {
		r.t.Fatalf("get: %v", err)
	}
	return a
}

func (r *rig) confirmAddress(name, address string) {
	r.t.Helper()
	if err := r.Users.Confirm(r.Ctx(), r.Users.Key("main", name), address); err != nil {
		r.t.Fatalf("confirm: %v", err)
	}
}

// plant writes the row of alice at the key of another name.
func (r *rig) plant(name string) {
	r.t.Helper()
	encoded, err := r.Registered("alice").Encode()
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	key := string(r.Users.Key("main", name))
	err = r.Table.Table.Update(context.Background(), store.Key(key), func([]byte) (store.Row, error) {
		return store.Row{Data: r.Keys.Seal(encoded, key), KeepUntil: fixture.Noon}, nil
	})
	if err != nil {
		r.t.Fatalf("%v", err)
	}
}

// wantFields makes sure that err is an InvalidRequest with faults of these fields.
func wantFields(t fixture.TB, err error, want ...string) {
	t.Helper()
	var got []string
	for _, f := range fixture.Problem(t, err, problem.InvalidRequest).Fields {
		got = append(got, f.Name)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Fatalf("faults of %q, want %q", got, want)
	}
}
