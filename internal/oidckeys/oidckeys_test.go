package oidckeys_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"

	"twofa/internal/oidckeys"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
)

// pool are keys for the tests: to make one takes long.
var pool = sync.OnceValue(func() (keys []*rsa.PrivateKey) {
	for range 6 {
		key, err := rsa.GenerateKey(rand.Reader, oidckeys.Bits)
		if err != nil {
			panic(err)
		}
		keys = append(keys, key)
	}
	return keys
})

func newSet(t rapid.TB) oidckeys.Set {
	set, err := oidckeys.New(pool()[0], pool()[1], fixture.Noon)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func ids(keys []oidckeys.Key) (list []string) {
	for _, k := range keys {
		list = append(list, k.ID)
	}
	return list
}

func signing(t rapid.TB, s oidckeys.Set) string {
	k, ok := s.Signing()
	if !ok {
		t.Fatalf("no key signs: %v", ids(s.Keys))
	}
	return k.ID
}

// The first key signs at once, the second one after two days. The first one stays published for a day
// more, unless it has leaked.
func TestRotate(t *testing.T) {
	t.Parallel()
	set, day := newSet(t), 24*time.Hour
	first, second := set.Keys[0].ID, set.Keys[1].ID
	if signing(t, set) != first || !slices.Equal(ids(set.Published(fixture.Noon)), []string{first, second}) {
		t.Fatalf("a new set: %v", ids(set.Keys))
	}
	_, err := set.Rotate(pool()[2], fixture.Noon.Add(2*day-time.Millisecond))
	if early, ok := errors.AsType[*oidckeys.TooEarlyError](err); !ok || !early.At.Equal(fixture.Noon.Add(2*day)) {
		t.Errorf("too early: %v", err)
	}
	later := fixture.Noon.Add(2 * day)
	rotated, err := set.Rotate(pool()[2], later)
	if err != nil || signing(t, rotated) != second || len(rotated.Published(later)) != 3 || signing(t, set) != first {
		t.Fatalf("rotated: %v, %v", ids(rotated.Published(later)), err)
	}
	third := rotated.Keys[2].ID
	for at, want := range map[time.Duration][]string{0: {first, second, third}, day - time.Millisecond: {first, second, third}, day: {second, third}} {
		if got := ids(rotated.Published(later.Add(at))); !slices.Equal(got, want) {
			t.Errorf("%v after it: %v", at, got)
		}
	}
	replaced, err := set.Replace(pool()[2], fixture.Noon)
	if err != nil || signing(t, replaced) != second || !slices.Equal(ids(replaced.Published(fixture.Noon)), []string{second, third}) {
		t.Errorf("replaced: %v, %v", ids(replaced.Keys), err)
	}
	for name, s := range map[string]func() (oidckeys.Set, error){
		"no keys":       func() (oidckeys.Set, error) { return oidckeys.Set{}.Rotate(pool()[2], later) },
		"no keys, now":  func() (oidckeys.Set, error) { return oidckeys.Set{}.Replace(pool()[2], later) },
		"the same key":  func() (oidckeys.Set, error) { return set.Rotate(pool()[1], later) },
		"no fresh key":  func() (oidckeys.Set, error) { return set.Rotate(nil, later) },
		"no first key":  func() (oidckeys.Set, error) { return oidckeys.New(nil, pool()[0], later) },
		"no second key": func() (oidckeys.Set, error) { return oidckeys.New(pool()[0], nil, later) },
	} {
		if _, err := s(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Over random rotations: one key signs; it was published for two days before, unless it was the first
// one or replaced a leaked one; it stays published for a day after, unless it has leaked; a leaked one
// is not published again.
func TestRotate_Property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set, now := newSet(t), fixture.Noon
		leaked, forced, retired := map[string]bool{}, map[string]bool{signing(t, set): true}, map[string]time.Time{}
		for n := range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "hours")) * time.Hour)
			fresh := pool()[(n+2)%len(pool())]
			if slices.ContainsFunc(set.Keys, func(k oidckeys.Key) bool { return k.Private == fresh }) {
				continue
			}
			before, old := signing(t, set), set
			var now2 oidckeys.Set
			var err error
			if rapid.IntRange(0, 4).Draw(t, "leaked") == 0 {
				now2, err = set.Replace(fresh, now)
				leaked[before] = true
				forced[signing(t, now2)] = true
			} else if now2, err = set.Rotate(fresh, now); err == nil {
				retired[before] = now
			}
			if set = now2; err != nil {
				if signing(t, set) != before || len(set.Keys) != len(old.Keys) {
					t.Fatalf("a refused rotation changed the set: %v", err)
				}
				continue
			}
			key, _ := set.Signing()
			if !forced[key.ID] && key.SignsAt.Sub(key.PublishedAt) < oidckeys.Lead {
				t.Fatalf("%s was published for %v", key.ID, key.SignsAt.Sub(key.PublishedAt))
			}
			published := ids(set.Published(now))
			if !slices.Contains(published, key.ID) || slices.Contains(published, before) == leaked[before] || len(set.Keys) > 5 {
				t.Fatalf("published %v; %s has signed before, leaked: %t", published, before, leaked[before])
			}
			for id, at := range retired {
				isFresh := key.ID == id || set.Keys[len(set.Keys)-1].ID == id
				if !leaked[id] && !isFresh && now.Sub(at) < oidckeys.Linger && !slices.Contains(published, id) {
					t.Fatalf("%s is not published %v after it has signed", id, now.Sub(at))
				}
			}
			delete(leaked, set.Keys[len(set.Keys)-1].ID) // the pool is small: a key comes again as another one
			delete(forced, set.Keys[len(set.Keys)-1].ID)
		}
	})
}

// keystore is a store of keys over a real table.
func keystore(t *testing.T, table store.Table, seed int, clock *fixture.Clock) *oidckeys.Store {
	var n atomic.Int64
	return &oidckeys.Store{Table: table, Keys: fixture.Keys(t, 1), Now: clock.Now, Generate: func() (*rsa.PrivateKey, error) {
		return pool()[(seed+int(n.Add(1))-1)%len(pool())], nil
	}}
}

// Of many processes that make the keys at the same time, one does: all sign with the same key. A
// process uses for a minute what it has read.
func TestStore_KeysAreMadeOnce(t *testing.T) {
	t.Parallel()
	table, clock := rig.Open(t), fixture.NewClock()
	var stores []*oidckeys.Store
	var made atomic.Int64
	for i := range 3 {
		s := keystore(t, table, 2*i, clock)
		generate := s.Generate
		s.Generate = func() (*rsa.PrivateKey, error) {
			made.Add(1)
			return generate()
		}
		stores = append(stores, s)
	}
	var wg sync.WaitGroup
	found := make([]oidckeys.Set, 30)
	for i := range found {
		wg.Go(func() {
			set, err := stores[i%len(stores)].Load(context.Background())
			if err != nil {
				t.Error(err)
			}
			found[i] = set
		})
	}
	wg.Wait()
	for _, set := range found {
		if !slices.Equal(ids(set.Keys), ids(found[0].Keys)) || len(set.Keys) != 2 {
			t.Fatalf("%v and %v", ids(set.Keys), ids(found[0].Keys))
		}
	}
	if n := made.Load(); n > 2*int64(len(stores)) {
		t.Errorf("%d processes make %d keys", len(stores), n)
	}
	clock.Advance(oidckeys.Lead)
	load := func(wait time.Duration) string {
		t.Helper()
		clock.Advance(wait)
		set, err := stores[1].Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return signing(t, set)
	}
	before := load(0)
	stores[0].Generate = nil // those of the pool may be in the set
	rotated, err := stores[0].Rotate(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if now := load(oidckeys.MaxAge - time.Millisecond); now != before {
		t.Errorf("within a minute of the rotation %s signs", now)
	}
	if now := load(time.Millisecond); now != signing(t, rotated) || now == before {
		t.Errorf("a minute after the rotation %s signs, want %s", now, signing(t, rotated))
	}
	if _, err := stores[0].Rotate(t.Context(), false); err == nil {
		t.Error("rotated twice at once")
	} else if _, early := errors.AsType[*oidckeys.TooEarlyError](err); !early {
		t.Error(err)
	}
}

// An ID token is signed with RS256 by the key that it names, which is published.
func TestStore_Sign(t *testing.T) {
	t.Parallel()
	clock := fixture.NewClock()
	s := keystore(t, rig.Open(t), 0, clock)
	text, err := s.Sign(t.Context(), jwt.MapClaims{"sub": "x"})
	if err != nil {
		t.Fatal(err)
	}
	set, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	published, err := set.KeySet(clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Keys []map[string]string }
	if err := json.Unmarshal(published, &doc); err != nil || len(doc.Keys) != 2 {
		t.Fatalf("%s: %v", published, err)
	}
	for _, k := range doc.Keys {
		if k["kty"] != "RSA" || k["alg"] != "RS256" || k["use"] != "sig" || k["kid"] == "" || len(k) != 6 || k["e"] != "AQAB" {
			t.Errorf("published %v", k)
		}
	}
	token, err := jwt.Parse(text, func(token *jwt.Token) (any, error) {
		if token.Header["kid"] != doc.Keys[0]["kid"] || token.Header["typ"] != "JWT" {
			t.Errorf("header %v", token.Header)
		}
		return &set.Keys[0].Private.PublicKey, nil
	}, jwt.WithValidMethods([]string{"RS256"}))
	if err != nil || !token.Valid {
		t.Error(err)
	}
}

// A row that cannot be read is a fault: no keys are made in its place, and it stays as it is.
func TestStore_AnUnreadableRowIsAFault(t *testing.T) {
	t.Parallel()
	table, clock := rig.Open(t), fixture.NewClock()
	if _, err := keystore(t, table, 0, clock).Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := table.Get(t.Context(), "koidc")
	if err != nil {
		t.Fatal(err)
	}
	other := keystore(t, table, 2, clock)
	other.Keys = fixture.Keys(t, 2) // a secret that did not seal it
	for name, call := range map[string]func() error{
		"load":   func() error { _, err := other.Load(t.Context()); return err },
		"rotate": func() error { _, err := other.Rotate(t.Context(), true); return err },
		"sign":   func() error { _, err := other.Sign(t.Context(), jwt.MapClaims{}); return err },
	} {
		if err := call(); !problem.Is(err, problem.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after, err := table.Get(t.Context(), "koidc"); err != nil || string(after.Data) != string(before.Data) {
		t.Errorf("the row has changed: %v", err)
	}
}
