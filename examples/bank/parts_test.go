package main

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The value is of the argon2 program of the reference implementation:
// printf 'correct horse battery' | argon2 0123456789abcdef -id -t 2 -k 19456 -p 1 -l 32 -r
func TestAccounts_HashIsArgon2id(t *testing.T) {
	got, err := newAccounts().hash(t.Context(), password, [16]byte([]byte("0123456789abcdef")))
	if want := "ebd23ba828c34ec430850a85be94098aa108d25190bf10bce1f5c4d0ab7171ae"; err != nil || hex.EncodeToString(got) != want {
		t.Errorf("%x, %v", got, err)
	}
}

func TestAccounts(t *testing.T) {
	a, ctx := newAccounts(), t.Context()
	for _, try := range []struct {
		name, password string
		want           error
	}{
		{"", password, errName}, {"a b", password, errName}, {"<b>", password, errName}, {"-a", password, errName},
		{strings.Repeat("a", 41), password, errName}, {"bob\n", password, errName},
		{"bob", "ninechars", errPassword}, {"bob", strings.Repeat("x", 129), errPassword},
		{"Bob", password, nil}, {"bob", password, errTaken}, {"BOB", password, errTaken},
	} {
		if err := a.reserve(ctx, try.name, try.password); !errors.Is(err, try.want) {
			t.Errorf("%q %q: %v", try.name, try.password, err)
		}
	}
	if _, err := a.login(ctx, "bob", password); !errors.Is(err, errWrong) {
		t.Errorf("before twofa has the address: %v", err)
	}
	a.open("bob")
	for try, want := range map[string]error{password: nil, password + " ": errWrong, "": errWrong, strings.ToUpper(password): errWrong} {
		if found, err := a.login(ctx, "BOB", try); !errors.Is(err, want) || err == nil && found.Name != "Bob" {
			t.Errorf("%q: %v", try, err)
		}
	}
	for _, try := range []string{"", password} {
		if _, err := a.login(ctx, "nobody", try); !errors.Is(err, errWrong) {
			t.Errorf("an unknown name: %v", err)
		}
	}
	a.release("bob")
	if err := a.reserve(ctx, "bob", "another password"); err != nil {
		t.Errorf("a name that was given back: %v", err)
	}
	if a.all["bob"].salt == ([16]byte{}) {
		t.Error("no salt")
	}
}

// A login that cannot have its turn is refused, and never let in.
func TestAccounts_Busy(t *testing.T) {
	a := newAccounts()
	if err := a.reserve(t.Context(), "bob", password); err != nil {
		t.Fatal(err)
	}
	a.open("bob")
	a.turn <- struct{}{}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.login(gone, "bob", password); !errors.Is(err, errBusy) {
		t.Errorf("%v", err)
	}
}

func TestSessions_End(t *testing.T) {
	s, now := newSessions(), time.Unix(0, 0)
	s.now = func() time.Time { return now }
	id := s.add(session{Name: "alice"}, time.Minute)
	other := s.add(session{Name: "bob"}, time.Hour)
	now = now.Add(time.Minute - 1)
	if s.get(id).Name != "alice" || s.get("").Name != "" {
		t.Error("a session ended too early, or there is one without an id")
	}
	if now = now.Add(1); s.get(id).Name != "" || s.get(other).Name != "bob" {
		t.Error("a session did not end in time")
	}
	s.add(session{}, time.Hour)
	if _, kept := s.all[id]; kept || len(s.all) != 2 {
		t.Error("a session that is over is kept")
	}
}

func TestCheckOrigin(t *testing.T) {
	for address, want := range map[string]bool{
		"https://bank.example": true, "http://127.0.0.1:7080": true, "http://[::1]:7080": true, "http://localhost:7080": true,
		"http://bank.example": false, "http://192.0.2.1": false, "https://bank.example/": false, "https://bank.example/x": false,
		"bank.example": false, "": false, "ftp://bank.example": false, "https://a@bank.example": false,
	} {
		if got := checkOrigin(address) == nil; got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}

func TestAgain_RoundsUp(t *testing.T) {
	for seconds, want := range map[int]string{
		0: "", 1: " Try again in 1 second.", 59: " Try again in 59 seconds.", 60: " Try again in 1 minute.", 61: " Try again in 2 minutes.",
		5400: " Try again in 90 minutes.", 86400: " Try again in 24 hours.", 86399: " Try again in 24 hours.",
	} {
		if got := again(seconds); got != want {
			t.Errorf("%d: %q", seconds, got)
		}
	}
}

// A page elsewhere, a redirect and an endless answer of something that is not twofa.
func TestTwofa_BelievesNoForeignAnswer(t *testing.T) {
	var answer func(w http.ResponseWriter)
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) { answer(w) })
	s := httptest.NewServer(mux)
	defer s.Close()
	good := `{"page_url": "` + s.URL + `/verify/check"}`
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, good) })
	api := newTwofa(s.URL, slog.New(slog.NewTextHandler(io.Discard, nil)))
	for name, try := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   error
	}{
		"its own":        {func(w http.ResponseWriter) { _, _ = io.WriteString(w, good) }, nil},
		"another origin": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"page_url": "`+s.URL+`.evil.example/"}`) }, errAnswer},
		"a redirect": {func(w http.ResponseWriter) {
			w.Header().Set("Location", s.URL+"/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, errUnreachable},
		"too long": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"x": "`+strings.Repeat("x", maxAnswer)+`"}`) }, errAnswer},
	} {
		answer = try.answer
		if _, err := api.startPage(t.Context(), order{}, back{}, ""); !errors.Is(err, try.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
