package main

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/oidckeys"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
)

// keyRig runs the commands on keys over a real table, at times of the test's.
type keyRig struct {
	keys  *oidckeys.Store
	clock *fixture.Clock
}

func newKeyRig(t *testing.T) keyRig {
	clock := fixture.NewClock()
	return keyRig{&oidckeys.Store{Table: rig.Open(t), Keys: fixture.Keys(t, 1), Now: clock.Now}, clock}
}

// run runs one of the commands.
func (r keyRig) run(t *testing.T, do func(*command, context.Context, *oidckeys.Store) int) result {
	t.Helper()
	stdout, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	var stderr strings.Builder
	code := do(&command{stdout: stdout, stderr: &stderr}, t.Context(), r.keys)
	text, err := os.ReadFile(stdout.Name())
	if err != nil {
		t.Fatal(err)
	}
	return result{string(text), stderr.String(), code}
}

func (r keyRig) list(t *testing.T) string {
	t.Helper()
	res := r.run(t, (*command).listKeys)
	if res.code != exitDone || res.stderr != "" {
		t.Fatalf("list: exit %d, %q", res.code, res.stderr)
	}
	return res.stdout
}

func (r keyRig) rotate(t *testing.T, leaked bool) result {
	t.Helper()
	return r.run(t, func(c *command, ctx context.Context, s *oidckeys.Store) int { return c.rotateKeys(ctx, s, leaked) })
}

// ids returns the ids of the present keys.
func (r keyRig) ids(t *testing.T) (ids []string) {
	t.Helper()
	set, err := r.keys.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		ids = append(ids, k.ID)
	}
	return ids
}

// The next key signs 48 hours after its publication, and not earlier. The commands say so, and
// what has changed.
func TestKeys_RotateAfterTwoDays(t *testing.T) {
	t.Parallel()
	r := newKeyRig(t)
	for range 2 { // the commands make no keys
		if res := r.rotate(t, false); res.code != exitStopped || res.stdout != "" || !strings.HasPrefix(res.stderr, "there are no keys yet") {
			t.Fatalf("without keys: exit %d, %q %q", res.code, res.stdout, res.stderr)
		}
		if res := r.run(t, (*command).listKeys); res.code != exitStopped || res.stdout != "" || !strings.HasPrefix(res.stderr, "there are no keys yet") {
			t.Fatalf("without keys: exit %d, %q %q", res.code, res.stdout, res.stderr)
		}
	}
	r.clock.Advance(time.Millisecond) // times are printed in whole seconds, rounded up
	if _, err := r.keys.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	made := r.ids(t)
	column := func(text string) string { return text + strings.Repeat(" ", len(made[0])-len(text)) }
	want := column("ID") + "  STATE  PUBLISHED SINCE       SIGNS FROM\n" +
		made[0] + "  signs  2026-03-01T12:00:01Z  2026-03-01T12:00:01Z\n" +
		made[1] + "  next   2026-03-01T12:00:01Z  2026-03-03T12:00:01Z\n"
	if got := r.list(t); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}

	r.clock.Advance(oidckeys.Lead - time.Millisecond)
	if res := r.rotate(t, false); res.code != exitStopped || res.stdout != "" || !strings.Contains(res.stderr, "It works from 2026-03-03T12:00:01Z on.") {
		t.Errorf("too early: exit %d, %q %q", res.code, res.stdout, res.stderr)
	}
	if now := r.ids(t); now[0] != made[0] || now[1] != made[1] {
		t.Errorf("a refused rotation has left %q of %q", now, made)
	}
	r.clock.Advance(time.Millisecond)
	res := r.rotate(t, false)
	now := r.ids(t)
	want = "signs now      " + made[1] + "\n" +
		"signs no more  " + made[0] + ", published until 2026-03-04T12:00:01Z\n" +
		"next           " + now[2] + ", published since now, may sign from 2026-03-05T12:00:01Z\n" +
		"Processes of the service keep keys for up to 60 seconds, relying parties for up to two days.\n"
	if res.code != exitDone || res.stderr != "" || res.stdout != want {
		t.Errorf("exit %d, %q\n%swant\n%s", res.code, res.stderr, res.stdout, want)
	}
	want = column("ID") + "  STATE    PUBLISHED SINCE       SIGNS FROM\n" +
		made[0] + "  retired  2026-03-01T12:00:01Z  2026-03-01T12:00:01Z\n" +
		made[1] + "  signs    2026-03-01T12:00:01Z  2026-03-03T12:00:01Z\n" +
		now[2] + "  next     2026-03-03T12:00:01Z  2026-03-05T12:00:01Z\n"
	if got := r.list(t); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	r.clock.Advance(oidckeys.Linger)
	if got := r.list(t); strings.Contains(got, made[0]) || !strings.Contains(got, made[1]) {
		t.Errorf("a day later: %s", got)
	}
}

// A key that has leaked is replaced at once, and is published no more.
func TestKeys_ALeakedKeyIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	r := newKeyRig(t)
	if _, err := r.keys.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	made := r.ids(t)
	res := r.rotate(t, true)
	now := r.ids(t)
	if res.code != exitDone || res.stderr != "" || !strings.HasPrefix(res.stdout, "signs now      "+made[1]+"\nsigns no more  "+made[0]+", published no more: ") {
		t.Errorf("exit %d, %q %q", res.code, res.stderr, res.stdout)
	}
	if list := r.list(t); strings.Contains(list, made[0]) || len(now) != 2 || now[0] != made[1] || !strings.Contains(list, now[1]) {
		t.Errorf("%q: %s", now, list)
	}
	if _, err := r.keys.Rotate(t.Context(), false); err == nil {
		t.Error("the new next key may sign at once")
	}
}

// A row that cannot be read is neither listed nor replaced.
func TestKeys_AnUnreadableRow(t *testing.T) {
	t.Parallel()
	r := newKeyRig(t)
	if _, err := r.keys.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	made, own := r.ids(t), r.keys.Keys
	r.keys.Keys = fixture.Keys(t, 2)
	for name, res := range map[string]result{"list": r.run(t, (*command).listKeys), "rotate": r.rotate(t, false), "replace": r.rotate(t, true)} {
		if res.code != exitStopped || res.stdout != "" || !strings.Contains(res.stderr, "cannot be read") {
			t.Errorf("%s: exit %d, %q %q", name, res.code, res.stdout, res.stderr)
		}
	}
	if r.keys.Keys = own; r.ids(t)[0] != made[0] {
		t.Error("the row has changed")
	}
}

// The commands run on the store of the settings, while the service is stopped. They print nothing
// of a private key.
func TestKeys_OnTheStoreOfTheSettings(t *testing.T) {
	dir := importTwo(t)
	if res := runIn(t, dir, "", "keys", "list"); res.code != exitStopped || !strings.Contains(res.stderr, "\nthere are no keys yet") {
		t.Fatalf("without keys: exit %d, %q", res.code, res.stderr)
	}
	_, parts, err := (&command{stderr: &strings.Builder{}}).open()
	if err != nil {
		t.Fatal(err)
	}
	set, err := app.SigningKeys(parts).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"list"}, {"rotate"}, {"rotate", "--now"}} {
		res := runIn(t, dir, "", append([]string{"keys"}, args...)...)
		if res.code != exitStopped || res.stdout != "" || !strings.Contains(res.stderr, "another process holds the file") || !strings.Contains(res.stderr, "Stop the service first") {
			t.Errorf("%q while the service runs: exit %d, %q %q", args, res.code, res.stdout, res.stderr)
		}
	}
	if err := parts.Table.Close(); err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for _, tc := range []struct {
		args   []string
		code   int
		stdout string // a regular expression
	}{
		{[]string{"list"}, exitDone, set.Keys[0].ID + "  signs .*\n" + set.Keys[1].ID + "  next .*\n"},
		{[]string{"rotate"}, exitStopped, "^$"},
		{[]string{"rotate", "--now"}, exitDone, "signs now +" + set.Keys[1].ID + "\nsigns no more +" + set.Keys[0].ID + ", published no more"},
		{[]string{"list"}, exitDone, set.Keys[1].ID + "  signs "},
	} {
		res := runIn(t, dir, "", append([]string{"keys"}, tc.args...)...)
		if res.code != tc.code || !regexp.MustCompile(tc.stdout).MatchString(res.stdout) || !strings.HasPrefix(res.stderr, "store: embedded, in ") {
			t.Errorf("%q: exit %d, %q %q", tc.args, res.code, res.stdout, res.stderr)
		}
		printed.WriteString(res.stdout + res.stderr)
	}
	for _, k := range set.Keys {
		for _, part := range [][]byte{k.Private.D.Bytes(), k.Private.Primes[0].Bytes(), k.Private.Primes[1].Bytes()} {
			if strings.Contains(printed.String(), base64.RawURLEncoding.EncodeToString(part)[:20]) {
				t.Error("a private part was printed")
			}
		}
	}
}
