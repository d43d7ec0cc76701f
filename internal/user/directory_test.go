package user_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/client"
	"twofa/internal/hostcall"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
)

func TestParseDirectory(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"main": true, "oidc": true, "a": true, "-": true, "shop-2": true, strings.Repeat("a", 32): true,
		"": false, "Main": false, "a b": false, "a.b": false, "a_b": false, "a/b": false, "a\x00b": false, "\u00e9": false, "a\n": false,
		strings.Repeat("a", 33): false,
	} {
		got, err := user.ParseDirectory(text)
		if ok && (err != nil || string(got) != text) || !ok && (!errors.Is(err, user.ErrDirectory) || got != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestDirectoryOf_IsThatOfTheClient(t *testing.T) {
	t.Parallel()
	if got := user.DirectoryOf(t.Context()); got != "main" {
		t.Errorf("without clients: %q, want main", got)
	}
	if got := user.DirectoryOf(client.With(t.Context(), client.Client{ID: "a", Directory: "shop"})); got != "shop" {
		t.Errorf("got %q, want shop", got)
	}
}

// The pairs are cuts of one text, so a key that forgot where the directory ends would
// be that of two pairs.
func TestKey_NoTwoUsersShareAKey(t *testing.T) {
	t.Parallel()
	type pair struct {
		directory user.Directory
		name      string
	}
	users := &user.Store{Keys: fixture.Keys(t, 1)}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("main-\x00")), 0, 12, -1).Draw(t, "text")
		head, _, _ := strings.Cut(text, "\x00") // a directory holds no null byte
		seen := map[otp.UserKey]pair{}
		add := func(directory, name string) {
			p := pair{user.Directory(directory), name}
			key := users.Key(p.directory, p.name)
			if other, taken := seen[key]; taken && other != p {
				t.Fatalf("%q and %q have the same key", p, other)
			}
			seen[key] = p
		}
		for i := range len(head) + 1 {
			rest, afterNull := strings.CutPrefix(text[i:], "\x00")
			add(text[:i], text[i:])
			add("main", text[i:])
			if afterNull {
				add(text[:i], rest)
			}
		}
		add("main", "user of\x00"+text)
	})
}

// A row of version 4 is a row of version 2, then the directory, then the call. Rows of
// the main directory stay rows that the release before can read.
func TestRow_LayoutOfVersion4IsFixed(t *testing.T) {
	t.Parallel()
	main := sample
	shop, called := main, main
	shop.Directory = "shop"
	version2 := fmt.Sprintf("%x", mustEncode(t, main))
	noCall := strings.Repeat("00", 25)
	if want := "04" + version2[2:] + "04" + "73686f70" + noCall; fmt.Sprintf("%x", mustEncode(t, shop)) != want {
		t.Errorf("got  %x\nwant %s", mustEncode(t, shop), want)
	}
	called.Call = user.Call{ID: hostcall.ID{0: 0xaa, 15: 0xbb}, Delivery: [8]byte{0: 0xcc, 7: 0xdd}, Told: true}
	call := fmt.Sprintf("%x", mustEncode(t, called))[len(version2):]
	called.Directory = "shop"
	if want := "04" + version2[2:] + "04" + "73686f70" + call; fmt.Sprintf("%x", mustEncode(t, called)) != want {
		t.Errorf("got  %x\nwant %s", mustEncode(t, called), want)
	}
	row := mustEncode(t, called)
	if got, err := user.Decode(row); err != nil || !reflect.DeepEqual(got, called) {
		t.Errorf("decodes to %+v, %v", got, err)
	}
	body, tail := mustEncode(t, main)[1:], row[len(row)-25:]
	version4 := func(directory ...byte) []byte { return bytes.Join([][]byte{{4}, body, directory, tail}, nil) }
	for name, row := range map[string][]byte{
		"no directory": version4(0), "the main directory": version4(4, 'm', 'a', 'i', 'n'),
		"version 3": append([]byte{3}, row[1:]...), "version 5": append([]byte{5}, row[1:]...),
		"cut": row[:len(row)-1], "a byte more": append(bytes.Clone(row), 0), "without a call": row[:len(row)-25],
	} {
		if u, err := user.Decode(row); err == nil {
			t.Errorf("%s: decodes to %+v", name, u)
		}
	}
}

// A user who gets the wrong key could be found by another user's name.
func TestPut_KeepsNoUserAtTheKeyOfAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	shop, bob, nowhere := sample, sample, sample
	shop.Directory, bob.Name, nowhere.Directory = "shop", "bob", ""
	key := r.kept.Key("main", sample.Name)
	for what, other := range map[string]user.User{"another directory": shop, "another name": bob, "no directory": nowhere} {
		_, err := r.Users.Put(t.Context(), key, always(other))
		fixture.Problem(t, err, problem.Internal)
		if _, err := r.kept.Load(t.Context(), key); !problem.Is(err, problem.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.keep(sample)
	_, err := r.Users.Put(t.Context(), key, always(shop))
	fixture.Problem(t, err, problem.Internal)
	r.wantKept(sample)
}

func TestStore_UsersOfOneNameInTwoDirectoriesAreTwo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	shop := sample
	shop.Directory, shop.Phone = "shop", fixture.Bob
	inMain, inShop := r.keep(sample), r.keep(shop)
	want := func(key otp.UserKey, want user.User) {
		t.Helper()
		if got, err := r.Users.Load(t.Context(), key); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	want(inMain, sample)
	want(inShop, shop)
	r.erase(inShop)
	want(inMain, sample)
	r.keep(shop)
	r.erase(inMain)
	want(inShop, shop)
}
