package grant_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/grant"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
)

func openStore(t *testing.T, table store.Table, clock *fixture.Clock) *grant.Store {
	return &grant.Store{Table: table, Keys: fixture.Keys(t, 1), Now: clock.Now}
}

// full has every field that Issue is given.
func full() grant.Grant {
	return grant.Grant{
		Client: "web", RedirectURI: callback, Challenge: challenge, Account: "account", Nonce: "nonce", Scopes: []string{"openid", "phone"},
		AuthTime: fixture.Noon.Add(-time.Minute), AMR: []string{"otp", "sms"}, ACR: "urn:twofa:acr:1",
	}
}

// trips fails the test unless a call takes that many round trips.
func trips(t *testing.T, what string, want int64, call func(ctx context.Context)) {
	t.Helper()
	ctx, n := store.WithTrips(t.Context())
	if call(ctx); n.Load() != want {
		t.Errorf("%s: %d round trips, want %d", what, n.Load(), want)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	table, clock := rig.Open(t), fixture.NewClock()
	s := openStore(t, table, clock)
	var code, token string
	trips(t, "issue", 1, func(ctx context.Context) {
		var err error
		if code, err = s.Issue(ctx, full()); err != nil {
			t.Fatal(err)
		}
	})
	trips(t, "exchange", 2, func(ctx context.Context) {
		g, got, err := s.Exchange(ctx, grant.Exchange{Code: code, Client: "web", RedirectURI: callback, Verifier: verifier})
		want := full()
		want.Code, want.CreatedAt, want.Token, want.ExchangedAt = grant.HashOf(code), fixture.Noon, grant.HashOf(got), fixture.Noon
		if token = got; err != nil || !reflect.DeepEqual(g, want) {
			t.Fatalf("%+v, %v, want %+v", g, err, want)
		}
	})
	trips(t, "use", 1, func(ctx context.Context) {
		if g, err := s.Use(ctx, token); err != nil || g.Account != "account" || g.Client != "web" {
			t.Errorf("%+v, %v", g, err)
		}
	})
	if len(code) != 43 || len(token) != 64 {
		t.Errorf("a code of %d and a token of %d characters", len(code), len(token))
	}
	id, _ := base64.RawURLEncoding.DecodeString(code)
	kept, err := table.Get(t.Context(), store.Key("o"+hex.EncodeToString(id[:16])))
	if err != nil || bytes.Contains(kept.Data, []byte("account")) {
		t.Errorf("the row: %v", err)
	}
	clock.Advance(grant.TokenLifetime)
	if _, err := s.Use(t.Context(), token); !errors.Is(err, grant.ErrInvalid) {
		t.Errorf("after an hour: %v", err)
	}
}

// Attack 31. What nobody was given is nothing, and costs no write.
func TestAttack31_UnknownCodesAndTokens(t *testing.T) {
	t.Parallel()
	table, clock := rig.Open(t), fixture.NewClock()
	s := openStore(t, table, clock)
	code, err := s.Issue(t.Context(), full())
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := s.Exchange(t.Context(), grant.Exchange{Code: code, Client: "web", RedirectURI: callback, Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int64{ // round trips
		"": 0, "x": 0, strings.Repeat("A", 43): 1, strings.Repeat("A", 64): 0, code[:42]: 0, code + "A": 0, "\n" + code[1:]: 0, code[:42] + "=": 0,
		code[:30] + strings.Repeat("A", 13): 1, token: 0, strings.Repeat("é", 21) + "a": 0, strings.Repeat("A", 42) + "B": 0,
	} {
		trips(t, "exchange of "+text, want, func(ctx context.Context) {
			if _, got, err := s.Exchange(ctx, grant.Exchange{Code: text, Client: "web", RedirectURI: callback, Verifier: verifier}); !errors.Is(err, grant.ErrInvalid) || got != "" {
				t.Errorf("exchange of %q: %q, %v", text, got, err)
			}
		})
	}
	for text, want := range map[string]int64{"": 0, code: 0, strings.Repeat("A", 64): 1, token[:63]: 0, token[:40] + strings.Repeat("A", 24): 1, token + "A": 0, token[:20] + "\n" + token[21:]: 0} {
		trips(t, "use of "+text, want, func(ctx context.Context) {
			if g, err := s.Use(ctx, text); !errors.Is(err, grant.ErrInvalid) || !g.IsZero() {
				t.Errorf("use of %q: %v", text, err)
			}
		})
	}
	if _, err := s.Use(t.Context(), token); err != nil {
		t.Errorf("the token has died: %v", err)
	}
}

// Attack 31. Failed exchanges are counted over processes, and burn nothing until there are five. A replay ends
// the token for all.
func TestAttack31_FailuresAndReplaysAreKept(t *testing.T) {
	t.Parallel()
	table, clock := rig.Open(t), fixture.NewClock()
	stores := []*grant.Store{openStore(t, table, clock), openStore(t, table, clock)}
	right := grant.Exchange{Client: "web", RedirectURI: callback, Verifier: verifier}
	for failures := range grant.MaxFailures + 1 {
		code, err := stores[0].Issue(t.Context(), full())
		if err != nil {
			t.Fatal(err)
		}
		wrong := grant.Exchange{Code: code, Client: "other", RedirectURI: callback, Verifier: verifier}
		for n := range failures {
			trips(t, "a wrong exchange", 2, func(ctx context.Context) {
				if _, _, err := stores[n%2].Exchange(ctx, wrong); !errors.Is(err, grant.ErrInvalid) {
					t.Fatal(err)
				}
			})
		}
		right.Code = code
		_, token, err := stores[0].Exchange(t.Context(), right)
		if (err == nil) != (failures < grant.MaxFailures) {
			t.Errorf("after %d failures: %v", failures, err)
		}
		if err != nil {
			continue
		}
		if _, err := stores[1].Use(t.Context(), token); err != nil {
			t.Error(err)
		}
		if _, _, err := stores[1].Exchange(t.Context(), right); !errors.Is(err, grant.ErrInvalid) {
			t.Error(err)
		}
		if _, err := stores[0].Use(t.Context(), token); !errors.Is(err, grant.ErrInvalid) {
			t.Errorf("a replay left the token alive: %v", err)
		}
	}
}

// Attack 31. Of 50 exchanges at the same time over two processes, one gets a token.
func TestAttack31_OneCodeIsExchangedOnce(t *testing.T) {
	t.Parallel()
	table, clock := rig.Open(t), fixture.NewClock()
	stores := []*grant.Store{openStore(t, table, clock), openStore(t, table, clock)}
	code, err := stores[0].Issue(t.Context(), full())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var tokens []string
	rig.AtOnce(rig.Times(50, func(i int) {
		_, token, err := stores[i%2].Exchange(context.Background(), grant.Exchange{Code: code, Client: "web", RedirectURI: callback, Verifier: verifier})
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			tokens = append(tokens, token)
		} else if !errors.Is(err, grant.ErrInvalid) || token != "" {
			t.Error(err)
		}
	})...)
	if len(tokens) != 1 {
		t.Fatalf("%d tokens", len(tokens))
	}
	if _, err := stores[0].Use(t.Context(), tokens[0]); !errors.Is(err, grant.ErrInvalid) {
		t.Errorf("the code was used twice, and the token lives: %v", err)
	}
}

func TestStore_Faults(t *testing.T) {
	t.Parallel()
	clock := fixture.NewClock()
	table := &rig.Table{Table: rig.Open(t)}
	s := openStore(t, table, clock)
	code, err := s.Issue(t.Context(), full())
	if err != nil {
		t.Fatal(err)
	}
	x := grant.Exchange{Code: code, Client: "web", RedirectURI: callback, Verifier: verifier}
	table.Break(rig.FaultFrom(1, rig.Down))
	_, issued := s.Issue(t.Context(), full())
	_, token, exchanged := s.Exchange(t.Context(), x)
	_, used := s.Use(t.Context(), strings.Repeat("A", 64))
	for _, err := range []error{issued, exchanged, used} {
		fixture.Problem(t, err, problem.StorageUnavailable)
	}
	if table.Break(nil); token != "" {
		t.Error("a token without storage")
	}
	if _, token, err = s.Exchange(t.Context(), x); err != nil {
		t.Errorf("the code was burnt: %v", err)
	}
	other := openStore(t, table, clock)
	other.Keys = fixture.Keys(t, 2)
	_, err = other.Use(t.Context(), token)
	fixture.Problem(t, err, problem.Internal)
}
