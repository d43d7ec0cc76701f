package users_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/users"
)

const (
	head    = "name,phone,email,secret,locale,channels,authenticator\n"
	secretA = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	secretB = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

// imported is what an import has said.
type imported struct {
	users.Tally
	said []string
	err  error
}

// take imports a file, many lines together, as with an embedded store, or one by
// one.
func (b *bench) take(file string, together bool) imported {
	b.t.Helper()
	return b.takeFrom(context.Background(), strings.NewReader(file), together)
}

func (b *bench) takeFrom(ctx context.Context, file io.Reader, together bool) (got imported) {
	im := &users.Import{Users: b.s, Workers: 4, Report: func(line int, text string) {
		got.said = append(got.said, fmt.Sprintf("%d %s", line, text))
	}}
	if together {
		im.Workers, im.Batch = 1, 16
		im.Together = func(ctx context.Context, fn func(store.Table) error) error { return fn(b.table) }
		if t, ok := b.table.(interface {
			Together(context.Context, func(store.Table) error) error
		}); ok {
			im.Together = t.Together
		}
	}
	got.err = im.Run(ctx, file)
	got.Tally = im.Tally()
	return got
}

// load is the user of a name, as kept.
func (b *bench) load(name string) user.User {
	b.t.Helper()
	u, err := b.s.Directory.Load(context.Background(), b.s.Directory.Key(name))
	if err != nil {
		b.t.Fatalf("load: %v", err)
	}
	return u
}

// everybody is all users, without what a file does not say.
func (b *bench) everybody() map[string]user.User {
	b.t.Helper()
	all := map[string]user.User{}
	for cursor := ""; ; {
		page, err := b.table.Expired(context.Background(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), cursor)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, ref := range page.Rows {
			u, err := b.s.Directory.Load(context.Background(), string(ref.Key))
			if err != nil {
				b.t.Fatal(err)
			}
			all[u.Name] = said(u)
		}
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// said is of a user what a file says.
func said(u user.User) user.User {
	kept := user.User{Name: u.Name, Phone: u.Phone, Email: u.Email, Locale: u.Locale, Channels: u.Channels}
	for _, a := range u.TOTP.Authenticators {
		if !a.Pending() {
			kept.TOTP.Authenticators = append(kept.TOTP.Authenticators, totp.Authenticator{Name: a.Name, Secret: a.Secret, Options: a.Options})
		}
	}
	return kept
}

// eachWay runs a test for either way of writing.
func eachWay(t *testing.T, run func(t *testing.T, together bool)) {
	t.Helper()
	t.Run("one by one", func(t *testing.T) { run(t, false) })
	t.Run("together", func(t *testing.T) { run(t, true) })
}

func TestImport_TakesALineWholeOrSaysWhyNot(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want string // a part of what is said; "" if it is taken
	}{
		"all":                     {`alice,+1 415-555-0123,Alice@Example.com,jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp,pt-BR,sms|email,Phone`, ""},
		"channels by spaces":      {`alice,+14155550123,,,,sms whatsapp,`, ""},
		"only a number":           {`alice,+14155550123,,,,,`, ""},
		"a URI":                   {`alice,,alice@example.com,"otpauth://totp/X:alice?secret=` + secretA + `&issuer=X&algorithm=SHA256&digits=8&period=60",,,`, ""},
		"a quoted name":           {`"Smith, Alice ""A""",+14155550123,,,,,`, ""},
		"no name":                 {`,+14155550123,,,,,`, "name: The user's name is missing."},
		"a path":                  {`canary/x,+14155550123,,,,,`, "name: "},
		"no address":              {`canary,,,` + secretA + `,,,`, "phone: Give a phone number"},
		"not a number":            {`alice,canary,,,,,`, "phone: "},
		"not an e-mail address":   {`alice,,canary,,,,`, "email: "},
		"a country":               {`alice,+447911123456,,,,,`, "does not send to"},
		"a premium number":        {`alice,+19005550123,,,,,`, "not sent to"},
		"a language":              {`alice,+14155550123,,,canary_canary,,`, "locale: "},
		"a channel":               {`alice,+14155550123,,,,canary,`, "channels: "},
		"a channel to nowhere":    {`alice,+14155550123,,,,email,`, "channels: "},
		"not base32":              {`alice,+14155550123,,canary1890,,,`, "secret: The secret is not base32"},
		"a short secret":          {`alice,+14155550123,,JBSWY3DPEHPK3PXP,,,`, "secret: The secret has only 80 bits"},
		"a counter":               {`alice,+14155550123,,otpauth://hotp/canary?secret=` + secretA + `,,,`, "secret: "},
		"a secret of no URI":      {`alice,+14155550123,,https://canary.example/,,,`, "secret: "},
		"a nameless secret":       {`alice,+14155550123,,,,,canary`, "authenticator: There is a name and no secret."},
		"an app's bad name":       {`alice,+14155550123,,` + secretA + `,,,canary  canary`, "authenticator: "},
		"all faults":              {`canary?,canary,canary,canary1,canary_,canary,`, "secret: "},
		"a field too many":        {`alice,+14155550123,,,,,,canary`, "it has 8 fields, and the first line has 7"},
		"a field too few":         {`alice,+14155550123`, "it has 2 fields"},
		"a quote within":          {`can"ary,+14155550123,,,,,`, "its quotes are not as in RFC 4180"},
		"a quote behind":          {`"can"ary,+14155550123,,,,,`, "its quotes are not as in RFC 4180"},
		"not UTF-8":               {"can\xffary,+14155550123,,,,,", "name: this is not UTF-8"},
		"a line within a field":   {"\"canary\nmallory,+14155550124,,,,,\",+14155550123,,,,,", "name: "},
		"a line that is no user":  {"\"a\nmallory,+14155550124,,,,,", "its quotes are not as in RFC 4180"},
		"an escape in the name":   {`%63anary,+14155550123,,,,,`, "name: "},
		"a name in another form":  {"Ame\u0301lie,+14155550123,,,,,", ""},
		"an apostrophe, a dollar": {`o'neil$,+14155550123,,,,,`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, together bool) {
				b := newBench(t)
				last := "\nzoe,+14155550199,,,,,"
				if name == "a line that is no user" {
					last = "" // the quote is open to the end
				}
				got := b.take(head+"\n"+tc.line+last, together)
				if got.err != nil {
					t.Fatal(got.err)
				}
				rest := b.everybody()
				if _, ok := rest["zoe"]; !ok && last != "" {
					t.Error("the line behind was not taken")
				}
				delete(rest, "zoe")
				if _, ok := rest["mallory"]; ok {
					t.Error("a part of a field was taken for a line")
				}
				if tc.want == "" {
					if len(got.said) > 0 || len(rest) != 1 || got.Created != 2 {
						t.Errorf("said %q, took %d", got.said, len(rest))
					}
					return
				}
				if len(got.said) != 1 || !strings.HasPrefix(got.said[0], "3 skipped: ") || !strings.Contains(got.said[0], tc.want) || got.Skipped != 1 {
					t.Errorf("said %q, want %q", got.said, tc.want)
				}
				if strings.Contains(fmt.Sprint(got.said), "canary") || len(rest) > 0 {
					t.Errorf("said %q, took %d", got.said, len(rest))
				}
			})
		})
	}
}

func TestImport_ReadsWhatALineSays(t *testing.T) {
	b := newBench(t)
	b.take("\ufeffSecret, CHANNELS ,Name,email,authenticator,phone\r\n"+
		secretA+",sms|email,alice,Alice@Example.com,My phone,+1 (415) 555-0123\r\n", false)
	u := b.load("alice")
	if u.Phone != number || u.Email != mail || !slices.Equal(u.Channels, []string{"sms", "email"}) || u.PhoneVerified || u.EmailVerified || !u.CreatedAt.Equal(noon) {
		t.Errorf("got %+v", u)
	}
	a := u.TOTP.Authenticators[0]
	if a.Name != "My phone" || a.Pending() || string(a.Secret) != "Hello!\xde\xad\xbe\xefHello!\xde\xad\xbe\xef" || a.Options != (totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}) || a.Step != 0 {
		t.Errorf("got %+v", a)
	}
}

func TestImport_RefusesAFileThatItDoesNotUnderstand(t *testing.T) {
	for name, file := range map[string]string{
		"empty": "", "no header": "canary,+14155550123,,,,,\n", "unknown column": "name,phone,email,secret,canary\nalice,+14155550123,,,\n",
		"a column twice": "name,phone,email,secret,name\n", "a column missing": "name,phone,email\nalice,+14155550123,\n",
		"semicolons": "name;phone;email;secret\nalice;+14155550123;;\n", "a quote in the header": "na\"canary,phone\n",
		"UTF-16": "\xff\xfen\x00a\x00m\x00e\x00,\x00",
		"long":   strings.Repeat("canary", 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			got := b.take(file, false)
			if got.err == nil || strings.Contains(got.err.Error(), "canary") || got.Tally != (users.Tally{}) || len(b.everybody()) > 0 {
				t.Errorf("%v, %+v", got.err, got.Tally)
			}
		})
	}
}

func TestImport_EndsAtAQuoteThatIsNotClosed(t *testing.T) {
	b := newBench(t)
	got := b.take(head+"alice,+14155550123,,,,,\n\""+strings.Repeat("mallory,+14155550124,,,,,\n", 10_000)+"\"", false)
	if got.err == nil || !strings.Contains(got.err.Error(), "a quote is not closed") || got.Line != 2 || got.Created != 1 || len(b.everybody()) != 1 {
		t.Errorf("%v, %+v", got.err, got.Tally)
	}
}

func TestImport_ReplacesLikePutAndKeepsWhatIsKnown(t *testing.T) {
	eachWay(t, func(t *testing.T, together bool) {
		b := newBench(t)
		b.put("alice", both, users.Conditions{})
		b.confirm("alice", number)
		b.confirm("alice", mail)
		before := b.load("alice")
		same := "alice,+14155550123,alice@example.com,,pt-BR,sms email,\n"
		if got := b.take(head+same, together); got.Unchanged != 1 || b.load("alice").Revision != before.Revision {
			t.Errorf("the same again: %+v", got)
		}
		got := b.take(head+"alice,+14155550123,new@example.com,,,,\n", together)
		u := b.load("alice")
		if got.Changed != 1 || !u.PhoneVerified || u.EmailVerified || u.Locale != "" || u.Channels != nil || u.Revision == before.Revision || !u.CreatedAt.Equal(before.CreatedAt) {
			t.Errorf("%+v, %+v", got, u)
		}
	})
}

// enrolled makes alice a user with one imported authenticator whose code was used.
func enrolled(b *bench) user.User {
	b.take(head+"alice,+14155550123,,"+secretA+",,,Phone\n", false)
	_, err := b.s.Directory.Change(context.Background(), b.s.Directory.Key("alice"), func(u user.User, _ bool) (user.User, error) {
		apps := slices.Clone(u.TOTP.Authenticators)
		apps[0].Step, apps[0].UsedAt = 59_000_000, noon
		u.TOTP.Authenticators = apps
		u.TOTP.Failures = []time.Time{noon}
		return u, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.load("alice")
}

func TestImport_NeverForgetsAStep(t *testing.T) {
	eachWay(t, func(t *testing.T, together bool) {
		b := newBench(t)
		before := enrolled(b)
		for _, line := range []string{
			"alice,+14155550123,," + secretA + ",,,Phone\n",
			"alice,+14155550123,," + secretA + ",,,Another name\n",
			"alice,+14155550123,," + secretA + "AAAAAAAA,,,\n", // zeros at the end make no other key
			"alice,+14155550123,,otpauth://totp/alice?secret=" + secretA + ",,,\n",
			"alice,+14155550123,,,,,\n",
		} {
			if got := b.take(head+line, together); got.Unchanged != 1 {
				t.Errorf("%s: %+v", line, got)
			}
		}
		got := b.take(head+"alice,+14155550123,,otpauth://totp/alice?secret="+secretA+"&digits=8,,,\n", together)
		if got.Skipped != 1 || !strings.Contains(got.said[0], "another algorithm") {
			t.Errorf("%+v", got)
		}
		if u := b.load("alice"); u.Revision != before.Revision || u.TOTP.Authenticators[0].Step != 59_000_000 {
			t.Errorf("got %+v", u)
		}
		// A contradiction takes back what this run has brought, and not this.
		b.take(head+"alice,+14155550199,,"+secretA+",,,\nalice,+14155550188,,"+secretB+",,,\n", together)
		u := b.load("alice")
		if len(u.TOTP.Authenticators) != 2 || u.TOTP.Authenticators[0].Step != 59_000_000 || len(u.TOTP.Failures) != 1 {
			t.Errorf("got %+v", u.TOTP)
		}
	})
}

// used is a table in which alice uses her app as soon as a first line has brought it.
type used struct {
	store.Table
	d    *user.Directory
	once sync.Once
}

func (u *used) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	err := u.Table.Update(ctx, key, fn)
	u.once.Do(func() {
		_, err = u.d.Change(ctx, string(key), func(alice user.User, _ bool) (user.User, error) {
			alice.TOTP.Authenticators[0].Step = 59_000_000
			return alice, nil
		})
	})
	return err
}

func TestImport_TakesNoAppBackThatWasUsed(t *testing.T) {
	b := newBench(t)
	b.s.Directory.Table = &used{Table: b.table, d: &user.Directory{Table: b.table, Keys: b.s.Directory.Keys}}
	b.take(head+"alice,+14155550199,,"+secretA+",,,\nalice,+14155550188,,"+secretB+",,,\n", false)
	if apps := b.load("alice").TOTP.Authenticators; len(apps) != 2 || apps[0].Step != 59_000_000 {
		t.Errorf("got %+v", apps)
	}
}

func TestImport_ConfirmsAPendingAuthenticator(t *testing.T) {
	b := newBench(t)
	b.put("alice", users.Request{Phone: number}, users.Conditions{})
	e, err := b.s.Enroll(t.Context(), "alice", users.EnrollRequest{})
	if err != nil {
		t.Fatal(err)
	}
	before := b.load("alice")
	got := b.take(head+"alice,+14155550123,,"+e.Secret+",,,\n", false)
	if b.load("alice").Revision == before.Revision {
		t.Error("the user was changed, and not the revision")
	}
	if apps := b.load("alice").TOTP.Authenticators; got.Changed != 1 || len(apps) != 1 || apps[0].Pending() {
		t.Errorf("%+v, %+v", got, apps)
	}
	// Another one that waits keeps its name.
	if _, err = b.s.Enroll(t.Context(), "alice", users.EnrollRequest{}); err != nil {
		t.Fatal(err)
	}
	b.take(head+"alice,+14155550123,,"+secretB+",,,\n", false)
	var names []string
	for _, a := range b.load("alice").TOTP.Authenticators {
		names = append(names, a.Name)
	}
	if want := []string{"Authenticator", "Authenticator 2", "Authenticator 3"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestImport_LinesAboutOneUser(t *testing.T) {
	eachWay(t, func(t *testing.T, together bool) {
		for name, tc := range map[string]struct {
			lines string
			phone string
			apps  []string
			said  []string
		}{
			"equal addresses add authenticators": {
				"alice,+14155550123,," + secretA + ",,,A\nalice,+1 415 5550123,," + secretB + ",,,B\n", number, []string{"A", "B"}, nil,
			},
			"the same line twice": {
				"alice,+14155550123,," + secretA + ",,,A\nalice,+14155550123,," + secretA + ",,,A\n", number, []string{"A"}, nil,
			},
			"the later wins": {
				"alice,+14155550199,," + secretA + ",,,A\nbob,+14155550123,,,,,\nalice,+14155550123,," + secretB + ",,,B\n", number, []string{"B"},
				[]string{"4 an earlier line says something else about this user; this line counts"},
			},
			"and adds to itself": {
				"alice,+14155550199,," + secretA + ",,,A\nalice,+14155550123,," + secretB + ",,,B\nalice,+14155550123,," + secretA + ",,,C\n", number, []string{"B", "C"},
				[]string{"3 an earlier line says something else about this user; this line counts"},
			},
			"one name for two apps": {
				"alice,+14155550123,," + secretA + ",,,A\nalice,+14155550123,," + secretB + ",,,a\n", number, []string{"A"},
				[]string{"3 skipped: authenticator: Another authenticator app of this user has this name."},
			},
		} {
			t.Run(name, func(t *testing.T) {
				b := newBench(t)
				for range 2 { // and the same again
					got := b.take(head+tc.lines, together)
					u := b.load("alice")
					var apps []string
					for _, a := range u.TOTP.Authenticators {
						apps = append(apps, a.Name)
					}
					if u.Phone != tc.phone || !slices.Equal(apps, tc.apps) || !slices.Equal(got.said, tc.said) {
						t.Errorf("%s, %q, said %q", u.Phone, apps, got.said)
					}
				}
			})
		}
	})
}

func TestImport_RoundTrips(t *testing.T) {
	b := newBench(t)
	var want int64
	line := head + "alice,+14155550123,," + secretA + ",,,\n"
	for _, want = range []int64{2, 1} { // created, unchanged
		if got := trips(func(ctx context.Context) { b.takeFrom(ctx, strings.NewReader(line), false) }); got != want {
			t.Errorf("%d round trips, want %d", got, want)
		}
	}
}

// Bad lines and lines of slow users are told of in the order of the file.
func TestImport_TellsInOrder(t *testing.T) {
	eachWay(t, func(t *testing.T, together bool) {
		b := newBench(t)
		enrolled(b)
		var file strings.Builder
		var want []string
		for i := range 300 {
			switch {
			case i%3 == 0:
				fmt.Fprintf(&file, "x%d,bad,,,,,\n", i)
				want = append(want, fmt.Sprint(i+2))
			case i%7 == 0: // only the store knows that this one is bad
				file.WriteString("alice,+14155550123,," + secretB + ",,,Phone\n")
				want = append(want, fmt.Sprint(i+2))
			default:
				fmt.Fprintf(&file, "x%d,+14155550123,,,,,\n", i)
			}
		}
		got := b.take(head+file.String(), together)
		var lines []string
		for _, text := range got.said {
			line, _, _ := strings.Cut(text, " ")
			lines = append(lines, line)
		}
		if !slices.Equal(lines, want) || got.Read != 300 || got.Skipped != len(want) || got.Created != 300-len(want) || got.Line != 301 {
			t.Errorf("%+v\ngot  %v\nwant %v", got.Tally, lines, want)
		}
	})
}

// endless is a file of users without end; hold is asked before each one is read.
type endless struct {
	n    int
	hold func(read int)
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		e.n++
		return copy(p, head), nil
	}
	e.hold(e.n - 1)
	n := copy(p, fmt.Sprintf("u%d,+14155550123,,,,,\n", e.n)) // one line at a time
	e.n++
	return n, nil
}

// counting is a table that counts the users written.
type counting struct {
	store.Table
	written *atomic.Int64
}

func (c counting) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	err := c.Table.Update(ctx, key, fn)
	c.written.Add(1)
	return err
}

func TestImport_HoldsABoundedNumberOfLines(t *testing.T) {
	eachWay(t, func(t *testing.T, together bool) {
		b := newBench(t)
		var written atomic.Int64
		b.table = counting{b.table, &written}
		b.s.Directory.Table = b.table
		ctx, cancel := context.WithCancel(t.Context())
		most := 0
		got := b.takeFrom(ctx, &endless{hold: func(read int) {
			most = max(most, read-int(written.Load()))
			if read == 2000 {
				cancel()
			}
		}}, together)
		if !errors.Is(got.err, context.Canceled) || most < 2 || most > 40 {
			t.Errorf("%v; held %d lines", got.err, most)
		}
		if got.Line < 2 || got.Line != got.Created+1 || int64(got.Created) > written.Load() {
			t.Errorf("%+v, %d written", got.Tally, written.Load())
		}
	})
}

// A Read that never returns, such as of a terminal, does not keep a signal from
// ending the import.
func TestImport_EndsWithItsContextWhileItReads(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	signal := errors.New("a signal")
	go func() {
		_, _ = io.WriteString(w, head)
		cancel(signal)
	}()
	if got := b.takeFrom(ctx, r, false); !errors.Is(got.err, signal) || got.Read > 0 {
		t.Errorf("%+v", got)
	}
}

// failing is a table that is unavailable at times: after writing or before.
type failing struct {
	store.Table
	mu    sync.Mutex
	calls int
	fail  func(call int) (before, after bool)
}

func (f *failing) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	f.mu.Lock()
	f.calls++
	before, after := f.fail(f.calls)
	f.mu.Unlock()
	if before {
		return fmt.Errorf("%w: before", store.ErrUnavailable)
	}
	if err := f.Table.Update(ctx, key, fn); err != nil || !after {
		return err
	}
	return fmt.Errorf("%w: after", store.ErrUnavailable)
}

func TestImport_RepeatsWhatTheStoreDidNotAnswer(t *testing.T) {
	eachWay(t, func(t *testing.T, together bool) {
		b := newBench(t)
		b.table = &failing{Table: b.table, fail: func(call int) (bool, bool) { return call%3 == 0, call%5 == 0 }}
		b.s.Directory.Table = b.table
		var file strings.Builder
		for i := range 20 {
			fmt.Fprintf(&file, "u%d,+14155550123,,,,,\n", i)
		}
		if together { // a batch fails whole: one line each
			b.table.(*failing).fail = func(call int) (bool, bool) { return call == 1, call == 3 }
		}
		got := b.take(head+file.String(), together)
		if got.err != nil || got.Read != 20 || got.Created+got.Unchanged != 20 || len(b.everybody()) != 20 {
			t.Errorf("%+v", got)
		}
	})
}

func TestImport_StopsWhereTheStoreStaysAway(t *testing.T) {
	eachWay(t, func(t *testing.T, together bool) {
		b := newBench(t)
		var away atomic.Bool
		b.table = &failing{Table: b.table, fail: func(int) (bool, bool) { return away.Load(), false }}
		b.s.Directory.Table = b.table
		away.Store(true)
		if got := b.take(head+"alice,+14155550123,,,,,\n", together); got.err == nil || got.Read > 0 {
			t.Errorf("a short file: %+v", got)
		}
		away.Store(false)
		got := b.takeFrom(t.Context(), &endless{hold: func(read int) { away.Store(read > 100) }}, together)
		e := wantKind(t, got.err, problem.StorageUnavailable)
		if !errors.Is(e, store.ErrUnavailable) || got.Read == 0 || got.Line != got.Created+1 {
			t.Errorf("%+v", got)
		}
		all := b.everybody()
		for i := 1; i < got.Line; i++ { // all up to the line that it names
			if _, ok := all[fmt.Sprintf("u%d", i)]; !ok {
				t.Errorf("line %d is said to be done, and is not", i+1)
			}
		}
	})
}

// A row that cannot be read is one line's misfortune.
func TestImport_LeavesARowThatItCannotRead(t *testing.T) {
	b := newBench(t)
	err := b.table.Update(t.Context(), store.Key(b.s.Directory.Key("alice")), func([]byte) (store.Row, error) {
		return store.Row{Data: []byte("not sealed"), KeepUntil: noon}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := b.take(head+"alice,+14155550123,,,,,\nbob,+14155550123,,,,,\n", false)
	if want := []string{"2 skipped: what is stored of this user cannot be read, or not be written"}; got.err != nil || !slices.Equal(got.said, want) || got.Created != 1 {
		t.Errorf("%+v", got)
	}
}

func sameUser(a, b user.User) bool { return reflect.DeepEqual(a, b) }

func TestImport_TwiceIsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := benchOn(t, newMapTable())
		together := rapid.Bool().Draw(t, "together")
		name := rapid.SampledFrom([]string{"alice", "bob", "Am\u00e9lie", "bad/name"})
		phone := rapid.SampledFrom([]string{"", number, "+919876543210", "bad"})
		secret := rapid.SampledFrom([]string{"", secretA, secretB, "otpauth://totp/x?secret=" + secretA + "&digits=8", "bad"})
		file := head
		for range rapid.IntRange(0, 12).Draw(t, "lines") {
			app := ""
			s := secret.Draw(t, "secret")
			if s != "" {
				app = rapid.SampledFrom([]string{"", "Phone", "Tablet"}).Draw(t, "app")
			}
			file += fmt.Sprintf("%s,%s,%s,%s,,,%s\n", name.Draw(t, "name"), phone.Draw(t, "phone"), "x@example.com", s, app)
		}
		first := b.take(file, together)
		once := b.everybody()
		second := b.take(file, together)
		if first.err != nil || second.err != nil || second.Created > 0 {
			t.Fatalf("%+v\n%+v", first, second)
		}
		if first.Contradictions == 0 && (second.Changed > 0 || first.Skipped != second.Skipped) {
			t.Fatalf("the second run: %+v", second)
		}
		if twice := b.everybody(); !maps.EqualFunc(once, twice, sameUser) {
			t.Fatalf("file:\n%s\nonce  %+v\ntwice %+v", file, once, twice)
		}
	})
}
