package grant_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/grant"
	"twofa/internal/testing/fixture"
)

const (
	code     = "the-code"
	callback = "https://app.example/callback"
)

// verifier and challenge are those of RFC 7636, appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func granted() grant.Grant {
	return grant.Grant{Client: "web", RedirectURI: callback, Challenge: challenge, Code: grant.HashOf(code), CreatedAt: fixture.Noon}
}

func exchange() grant.Exchange {
	return grant.Exchange{Code: code, Client: "web", RedirectURI: callback, Verifier: verifier, Token: grant.HashOf("token")}
}

// Attack 31. A code is exchanged by its client, for its address, with its verifier, within a minute.
func TestAttack31_Exchange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		grant    func(g *grant.Grant)
		exchange func(x *grant.Exchange)
		after    time.Duration
		ok       bool
		failures int
	}{
		"right":                  {ok: true},
		"in its last moment":     {after: grant.CodeLifetime - time.Millisecond, ok: true},
		"without PKCE":           {grant: func(g *grant.Grant) { g.Challenge = "" }, exchange: func(x *grant.Exchange) { x.Verifier = "" }, ok: true},
		"after four failures":    {grant: func(g *grant.Grant) { g.Failures = 4 }, ok: true},
		"expired":                {after: grant.CodeLifetime},
		"after five failures":    {grant: func(g *grant.Grant) { g.Failures = 5 }, failures: 5},
		"another code":           {exchange: func(x *grant.Exchange) { x.Code = "other" }},
		"no code":                {exchange: func(x *grant.Exchange) { x.Code = "" }},
		"another client":         {exchange: func(x *grant.Exchange) { x.Client = "other" }, failures: 1},
		"another address":        {exchange: func(x *grant.Exchange) { x.RedirectURI += "/" }, failures: 1},
		"no address":             {exchange: func(x *grant.Exchange) { x.RedirectURI = "" }, failures: 1},
		"another verifier":       {exchange: func(x *grant.Exchange) { x.Verifier = strings.Repeat("a", 43) }, failures: 1},
		"no verifier":            {exchange: func(x *grant.Exchange) { x.Verifier = "" }, failures: 1},
		"the challenge itself":   {exchange: func(x *grant.Exchange) { x.Verifier = challenge }, failures: 1},
		"a challenge taken out":  {grant: func(g *grant.Grant) { g.Challenge = "" }, failures: 1},
		"a short verifier":       {grant: func(g *grant.Grant) { g.Challenge = challengeOf("short") }, exchange: func(x *grant.Exchange) { x.Verifier = "short" }, failures: 1},
		"a verifier with spaces": {grant: func(g *grant.Grant) { g.Challenge = challengeOf(strings.Repeat(" ", 43)) }, exchange: func(x *grant.Exchange) { x.Verifier = strings.Repeat(" ", 43) }, failures: 1},
		"no grant":               {grant: func(g *grant.Grant) { *g = grant.Grant{} }},
	} {
		g, x := granted(), exchange()
		if tc.grant != nil {
			tc.grant(&g)
		}
		if tc.exchange != nil {
			tc.exchange(&x)
		}
		got, err := g.Exchange(x, fixture.Noon.Add(tc.after))
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, grant.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err := got.Use("token", fixture.Noon.Add(tc.after)); (err == nil) != tc.ok {
			t.Errorf("%s: the token: %v", name, err)
		}
		if !tc.ok && (got.Failures != tc.failures || !got.ExchangedAt.IsZero()) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Attack 31. A failed exchange burns nothing. A code that is used twice ends its token, and nothing brings
// it back.
func TestAttack31_Replay(t *testing.T) {
	t.Parallel()
	g, wrong := granted(), exchange()
	wrong.Client = "other"
	for range grant.MaxFailures - 1 {
		g, _ = g.Exchange(wrong, fixture.Noon)
	}
	g, err := g.Exchange(exchange(), fixture.Noon)
	if err != nil {
		t.Fatal(err)
	}
	if g, _ = g.Exchange(wrong, fixture.Noon); !g.EndedAt.IsZero() {
		t.Error("another client ends what the code gave")
	}
	other := exchange()
	other.Token = grant.HashOf("other")
	later := fixture.Noon.Add(30 * time.Minute)
	if err := g.Use("token", later); err != nil {
		t.Errorf("before the replay: %v", err)
	}
	for range 3 {
		if g, err = g.Exchange(other, later); !errors.Is(err, grant.ErrInvalid) {
			t.Errorf("the replay: %v", err)
		}
		for _, token := range []string{"token", "other", ""} {
			if err := g.Use(token, later); err == nil {
				t.Errorf("the token %q lives after the replay", token)
			}
		}
	}
	if g.EndedAt != later {
		t.Errorf("ended at %v", g.EndedAt)
	}
}

func TestUse(t *testing.T) {
	t.Parallel()
	g, err := granted().Exchange(exchange(), fixture.Noon)
	if err != nil {
		t.Fatal(err)
	}
	for at, ok := range map[time.Duration]bool{0: true, grant.TokenLifetime - time.Millisecond: true, grant.TokenLifetime: false} {
		if err := g.Use("token", fixture.Noon.Add(at)); (err == nil) != ok {
			t.Errorf("after %v: %v", at, err)
		}
	}
	for _, token := range []string{"", "Token", "token ", code} {
		if g.Use(token, fixture.Noon) == nil {
			t.Errorf("the token %q is accepted", token)
		}
	}
	if granted().Use("", fixture.Noon) == nil {
		t.Error("a token before the exchange")
	}
	if !g.KeepUntil().Equal(fixture.Noon.Add(grant.TokenLifetime)) || !granted().KeepUntil().Equal(fixture.Noon.Add(grant.CodeLifetime)) || !(grant.Grant{}).KeepUntil().IsZero() {
		t.Error("kept for another time")
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]bool{ // a verifier, a challenge
		verifier: {true, true}, challenge: {true, true}, strings.Repeat("~", 43): {true, false}, strings.Repeat("a", 128): {true, false},
		strings.Repeat("a", 129): {false, false}, strings.Repeat("a", 42): {false, false}, challenge + "=": {false, false}, "": {false, false},
		challenge[:42] + "+": {false, false}, challenge[:42] + "N": {true, false}, challenge[:21] + "\n" + challenge[21:]: {false, false},
	} {
		if got := [2]bool{grant.IsVerifier(text), grant.IsChallenge(text)}; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// Over random requests there is one exchange at most, and a token is valid only after it, within its hour, and
// before a replay.
func TestExchange_Property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g, now, exchanged, replayed := granted(), fixture.Noon, time.Time{}, false
		for range rapid.IntRange(1, 20).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second)
			x := exchange()
			right := rapid.Bool().Draw(t, "right")
			if !right {
				x.Client = "other"
			}
			var err error
			if g, err = g.Exchange(x, now); err == nil {
				if !right || !exchanged.IsZero() || now.Sub(fixture.Noon) >= grant.CodeLifetime {
					t.Fatalf("exchanged at %v, before at %v, right: %t", now, exchanged, right)
				}
				exchanged = now
			} else if !exchanged.IsZero() && right {
				replayed = true
			}
			live := !exchanged.IsZero() && !replayed && now.Sub(exchanged) < grant.TokenLifetime
			if (g.Use("token", now) == nil) != live {
				t.Fatalf("%+v at %v: the token lives: %t", g, now, !live)
			}
		}
	})
}
