package userfile_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/internal/userfile"
)

const mail = "alice@example.com"

// rig is a store of users that files are read into and written from.
type rig struct {
	t      fixture.TB
	table  *testrig.Table
	users  *user.Store
	kept   *user.Store // users, without faults
	issuer string
	// batches: an import writes several lines at a time, by batch.
	batches bool
	batch   func(ctx context.Context, fn func(store.Table) error) error
}

// newRig returns a rig over a store on a disk, with the batches of that store. The
// faults of the table are not in a batch: see batchOnRig.
func newRig(t *testing.T) *rig {
	t.Helper()
	bolt := testrig.Open(t)
	r := rigOn(t, bolt)
	r.batch = bolt.(interface {
		Batch(context.Context, func(store.Table) error) error
	}).Batch
	return r
}

// rigOn returns a rig over any table.
func rigOn(t fixture.TB, table store.Table) *rig {
	r := &rig{t: t, table: &testrig.Table{Table: table}}
	keys := fixture.Keys(t, 1)
	r.users, r.kept = &user.Store{Table: r.table, Keys: keys}, &user.Store{Table: table, Keys: keys}
	r.batchOnRig()
	return r
}

// batchOnRig makes a batch write one row after the other to the table of the rig.
func (r *rig) batchOnRig() {
	r.batch = func(_ context.Context, fn func(store.Table) error) error { return fn(r.table) }
}

var channels = []channel.Channel{channel.WhatsApp, channel.SMS, channel.Email}

// change changes or registers a user, without faults.
func (r *rig) change(name string, decide func(u user.User) (user.User, error)) user.User {
	r.t.Helper()
	u, err := r.kept.Put(context.Background(), r.kept.Key("main", name), decide)
	if err != nil {
		r.t.Fatalf("change: %v", err)
	}
	return u
}

// register registers a user with both addresses.
func (r *rig) register(name string) {
	r.t.Helper()
	r.change(name, func(user.User) (user.User, error) {
		return user.User{
			Directory: "main", Name: name, Phone: fixture.Alice, Email: mail, Locale: "pt-BR", Channels: []channel.Channel{channel.SMS, channel.Email},
			CreatedAt: fixture.Noon, UpdatedAt: fixture.Noon,
		}, nil
	})
}

// enroll gives a user an authenticator app that is pending.
func (r *rig) enroll(name, secret string) {
	r.t.Helper()
	r.change(name, func(u user.User) (user.User, error) {
		raw, err := totp.ParseSecret(secret)
		if err != nil {
			return u, err
		}
		u.TOTP, err = totp.Enroll(u.TOTP, totp.Authenticator{
			ID: totp.NewID([8]byte{byte(len(u.TOTP.Authenticators) + 1)}), Name: totp.FreeName(u.TOTP.Authenticators, totp.DefaultName), Secret: raw,
		}, fixture.Noon)
		return u, err
	})
}

// load returns the user as kept.
func (r *rig) load(name string) user.User {
	r.t.Helper()
	u, err := r.kept.Load(context.Background(), r.kept.Key("main", name))
	if err != nil {
		r.t.Fatalf("load: %v", err)
	}
	return u
}

// plant writes a row past the store of users.
func (r *rig) plant(key store.Key, data []byte) {
	r.t.Helper()
	err := r.table.Table.Update(context.Background(), key, func([]byte) (store.Row, error) {
		return store.Row{Data: data, KeepUntil: fixture.Noon}, nil
	})
	if err != nil {
		r.t.Fatalf("plant: %v", err)
	}
}

// all returns every user, with the data that a file has.
func (r *rig) all() map[string]user.User {
	r.t.Helper()
	all := map[string]user.User{}
	err := r.kept.Each(context.Background(), 1, func(_ otp.UserKey, u user.User, err error) error {
		kept := user.User{Name: u.Name, Phone: u.Phone, Email: u.Email, Locale: u.Locale, Channels: u.Channels}
		for _, a := range u.TOTP.Confirmed() {
			kept.TOTP.Authenticators = append(kept.TOTP.Authenticators, totp.Authenticator{Name: a.Name, Secret: a.Secret, Options: a.Options})
		}
		all[u.Name] = kept
		return err
	})
	if err != nil {
		r.t.Fatalf("list: %v", err)
	}
	return all
}

// imported is the result of an import, and its reports.
type imported struct {
	userfile.Tally
	reports []string
	err     error
}

// read imports a file.
func (r *rig) read(file string) imported {
	r.t.Helper()
	return r.readFrom(context.Background(), strings.NewReader(file))
}

func (r *rig) readFrom(ctx context.Context, file io.Reader) (got imported) {
	im := &userfile.Import{
		Users: r.users, Directory: "main", Channels: channels, Countries: map[string]bool{"US": true, "IN": true},
		Now: func() time.Time { return fixture.Noon },
	}
	im.Workers, im.Report = 4, func(line int, text string) { got.reports = append(got.reports, fmt.Sprintf("%d %s", line, text)) }
	if r.batches {
		im.Workers, im.Batch, im.BatchSize = 1, r.batch, 16
	}
	got.err = im.Run(ctx, file)
	got.Tally = im.Tally()
	return got
}

// write exports all users. reports are of users who cannot be read.
func (r *rig) write() (file string, tally userfile.Exported, reports []string) {
	r.t.Helper()
	var out bytes.Buffer
	ex := &userfile.Export{Users: r.users, Directory: "main", Issuer: r.issuer, Workers: 4, Report: func(text string) { reports = append(reports, text) }}
	if err := ex.Run(context.Background(), &out); err != nil {
		r.t.Fatalf("export: %v", err)
	}
	return out.String(), ex.Tally(), reports
}
