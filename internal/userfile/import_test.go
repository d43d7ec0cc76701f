package userfile_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/internal/userfile"
)

const (
	head    = "name,phone,email,secret,locale,channels,authenticator\n"
	secretA = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	secretB = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	secretC = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"
	// aliceApp is a line about a user with an app.
	aliceApp = "alice,+14155550123,," + secretA + ",,,Phone\n"
)

// eachWay runs a test with and without batches.
func eachWay(t *testing.T, run func(t *testing.T, r *rig)) {
	t.Helper()
	for name, batches := range map[string]bool{"one by one": false, "batches": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.batches = batches
			run(t, r)
		})
	}
}

func TestImport_ImportsALineAsAWholeOrReportsWhyNot(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want string // a part of the report; "" if the line is imported
	}{
		"all":                     {`alice,+1 415-555-0123,Alice@Example.com,jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp,pt-BR,sms|email,Phone`, ""},
		"channels by spaces":      {`alice,+14155550123,,,,sms whatsapp,`, ""},
		"only a number":           {`alice,+14155550123,,,,,`, ""},
		"a URI":                   {`alice,,alice@example.com,"otpauth://totp/X:alice?secret=` + secretA + `&issuer=X&algorithm=SHA256&digits=8&period=60",,,`, ""},
		"a quoted name":           {`"Smith, Alice ""A""",+14155550123,,,,,`, ""},
		"no name":                 {`,+14155550123,,,,,`, "name: The user's name is missing."},
		"a path":                  {`al/ice,+14155550123,,,,,`, ""},
		"no address":              {`canary,,,` + secretA + `,,,`, "phone: Give a phone number"},
		"not a number":            {`alice,canary,,,,,`, "phone: "},
		"not an e-mail address":   {`alice,,canary,,,,`, "email: "},
		"a country":               {`alice,+447911123456,,,,,`, "does not send to"},
		"a premium number":        {`alice,+19005550123,,,,,`, "does not send to"},
		"a language":              {`alice,+14155550123,,,canary canary,,`, "locale: "},
		"a channel":               {`alice,+14155550123,,,,canary,`, "channels: "},
		"a channel to nowhere":    {`alice,+14155550123,,,,email,`, "channels: "},
		"not base32":              {`alice,+14155550123,,canary1890,,,`, "secret: The secret is not base32"},
		"a short secret":          {`alice,+14155550123,,JBSWY3DPEHPK3PXP,,,`, "secret: The secret has only 80 bits"},
		"a counter":               {`alice,+14155550123,,otpauth://hotp/canary?secret=` + secretA + `,,,`, "secret: "},
		"a secret of no URI":      {`alice,+14155550123,,https://canary.example/,,,`, "secret: "},
		"a nameless secret":       {`alice,+14155550123,,,,,canary`, "authenticator: There is a name and no secret."},
		"an app's bad name":       {`alice,+14155550123,,` + secretA + `,,,canary` + "\u2066" + `canary`, "authenticator: "},
		"all faults":              {`canary?,canary,canary,canary1,canary_,canary,`, "secret: "},
		"a field too many":        {`alice,+14155550123,,,,,,canary`, "it has 8 fields, and the first line has 7"},
		"a field too few":         {`alice,+14155550123`, "it has 2 fields"},
		"a quote within":          {`can"ary,+14155550123,,,,,`, "its quotes are not as in RFC 4180"},
		"a quote at the end":      {`"can"ary,+14155550123,,,,,`, "its quotes are not as in RFC 4180"},
		"not UTF-8":               {"can\xffary,+14155550123,,,,,", "name: this is not UTF-8"},
		"a line within a field":   {"\"canary\nmallory,+14155550124,,,,,\",+14155550123,,,,,", "name: "},
		"a line that is no user":  {"\"a\nmallory,+14155550124,,,,,", "its quotes are not as in RFC 4180"},
		"an escape in the name":   {`%41lice,+14155550123,,,,,`, ""},
		"a space after the name":  {`"canary ",+14155550123,,,,,`, "name: "},
		"a name in another form":  {"Ame\u0301lie,+14155550123,,,,,", ""},
		"an apostrophe, a dollar": {`o'neil$,+14155550123,,,,,`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, r *rig) {
				last := "\nzoe,+14155550199,,,,,"
				if name == "a line that is no user" {
					last = "" // the quote is open to the end
				}
				got := r.read(head + "\n" + tc.line + last)
				if got.err != nil {
					t.Fatal(got.err)
				}
				rest := r.all()
				if _, ok := rest["zoe"]; !ok && last != "" {
					t.Error("the next line was not imported")
				}
				delete(rest, "zoe")
				if _, ok := rest["mallory"]; ok {
					t.Error("a part of a field was imported as a line")
				}
				if tc.want == "" {
					if len(got.reports) > 0 || len(rest) != 1 || got.Created != 2 {
						t.Errorf("reports %q, %d users", got.reports, len(rest))
					}
					return
				}
				if len(got.reports) != 1 || !strings.HasPrefix(got.reports[0], "3 skipped: ") || !strings.Contains(got.reports[0], tc.want) || got.Skipped != 1 {
					t.Errorf("reports %q, want %q", got.reports, tc.want)
				}
				if strings.Contains(fmt.Sprint(got.reports), "canary") || len(rest) > 0 {
					t.Errorf("reports %q, %d users", got.reports, len(rest))
				}
			})
		})
	}
}

func TestImport_ReadsWhatALineSays(t *testing.T) {
	r := newRig(t)
	r.read("\ufeffSecret, CHANNELS ,Name,email,authenticator,phone\r\n" +
		secretA + ",sms|email,alice,Alice@Example.com,My phone,+1 (415) 555-0123\r\n")
	u := r.load("alice")
	if u.Phone != fixture.Alice || u.Email != mail || !slices.Equal(u.Channels, []channel.Channel{channel.SMS, channel.Email}) || u.PhoneVerified || u.EmailVerified || !u.CreatedAt.Equal(fixture.Noon) {
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
			r := newRig(t)
			got := r.read(file)
			if got.err == nil || strings.Contains(got.err.Error(), "canary") || got.Tally != (userfile.Tally{}) || len(r.all()) > 0 {
				t.Errorf("%v, %+v", got.err, got.Tally)
			}
		})
	}
}

func TestImport_EndsAtAQuoteThatIsNotClosed(t *testing.T) {
	r := newRig(t)
	got := r.read(head + "alice,+14155550123,,,,,\n\"" + strings.Repeat("mallory,+14155550124,,,,,\n", 10_000) + "\"")
	if got.err == nil || !strings.Contains(got.err.Error(), "a quote is not closed") || got.Line != 2 || got.Created != 1 || len(r.all()) != 1 {
		t.Errorf("%v, %+v", got.err, got.Tally)
	}
}

func TestImport_ReplacesLikePutAndKeepsWhatIsKnown(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
		r.register("alice")
		for _, address := range []string{fixture.Alice, mail} {
			if err := r.users.Confirm(t.Context(), r.users.Key("main", "alice"), address); err != nil {
				t.Fatal(err)
			}
		}
		before := r.load("alice")
		same := "alice,+14155550123,alice@example.com,,pt-BR,sms email,\n"
		if got := r.read(head + same); got.Unchanged != 1 || r.load("alice").Revision != before.Revision {
			t.Errorf("the same again: %+v", got)
		}
		got := r.read(head + "alice,+14155550123,new@example.com,,,,\n")
		u := r.load("alice")
		if got.Changed != 1 || !u.PhoneVerified || u.EmailVerified || u.Locale != "" || u.Channels != nil || u.Revision == before.Revision || !u.CreatedAt.Equal(before.CreatedAt) {
			t.Errorf("%+v, %+v", got, u)
		}
	})
}

// useApp notes that a code of the user's first app was accepted.
func useApp(u user.User) (user.User, error) {
	apps := slices.Clone(u.TOTP.Authenticators)
	apps[0].Step, apps[0].UsedAt = 59_000_000, fixture.Noon
	u.TOTP.Authenticators = apps
	u.TOTP.Failures = []time.Time{fixture.Noon}
	return u, nil
}

func TestImport_NeverForgetsAStep(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
		r.read(head + aliceApp)
		before := r.change("alice", useApp)
		for _, line := range []string{
			aliceApp,
			"alice,+14155550123,," + secretA + ",,,Another name\n",
			"alice,+14155550123,," + secretA + "AAAAAAAA,,,\n", // zeros at the end make no other key
			"alice,+14155550123,,otpauth://totp/alice?secret=" + secretA + ",,,\n",
			"alice,+14155550123,,,,,\n",
		} {
			if got := r.read(head + line); got.Unchanged != 1 {
				t.Errorf("%s: %+v", line, got)
			}
		}
		got := r.read(head + "alice,+14155550123,,otpauth://totp/alice?secret=" + secretA + "&digits=8,,,\n")
		if got.Skipped != 1 || !strings.Contains(got.reports[0], "another algorithm") {
			t.Errorf("%+v", got)
		}
		if u := r.load("alice"); u.Revision != before.Revision || u.TOTP.Authenticators[0].Step != 59_000_000 {
			t.Errorf("got %+v", u)
		}
		// A contradiction removes apps of this run, but not this one.
		r.read(head + "alice,+14155550199,," + secretA + ",,,\nalice,+14155550188,," + secretB + ",,,\n")
		u := r.load("alice")
		if len(u.TOTP.Authenticators) != 2 || u.TOTP.Authenticators[0].Step != 59_000_000 || len(u.TOTP.Failures) != 1 {
			t.Errorf("got %+v", u.TOTP)
		}
	})
}

// R9. Erasing the user and importing it again resets neither the last step nor the
// wrong codes.
func TestR9_AnImportAfterAnErasureForgetsNoStep(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
		r.read(head + aliceApp)
		r.change("alice", useApp)
		for range 2 {
			err := r.kept.Erase(context.Background(), r.kept.Key("main", "alice"), fixture.Noon, func(user.User) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if got := r.read(head + aliceApp); got.Created != 1 {
				t.Errorf("%+v", got)
			}
			if s := r.load("alice").TOTP; s.Authenticators[0].Step != 59_000_000 || len(s.Failures) != 1 {
				t.Errorf("got %+v", s)
			}
		}
	})
}

func TestImport_KeepsAnAppOfThisRunThatWasUsed(t *testing.T) {
	r := newRig(t)
	updates := 0
	r.table.Before(func(testrig.Call) error {
		if updates++; updates == 2 {
			r.change("alice", useApp)
		}
		return nil
	})
	r.read(head + "alice,+14155550199,," + secretA + ",,,\nalice,+14155550188,," + secretB + ",,,\n")
	if apps := r.load("alice").TOTP.Authenticators; len(apps) != 2 || apps[0].Step != 59_000_000 {
		t.Errorf("got %+v", apps)
	}
}

func TestImport_ConfirmsAPendingAuthenticator(t *testing.T) {
	r := newRig(t)
	r.register("alice")
	r.enroll("alice", secretA)
	before := r.load("alice")
	got := r.read(head + "alice,+14155550123,," + secretA + ",,,\n")
	if r.load("alice").Revision == before.Revision {
		t.Error("the user was changed, but not the revision")
	}
	if apps := r.load("alice").TOTP.Authenticators; got.Changed != 1 || len(apps) != 1 || apps[0].Pending() {
		t.Errorf("%+v, %+v", got, apps)
	}
	// Another pending one keeps its name.
	r.enroll("alice", secretC)
	r.read(head + "alice,+14155550123,," + secretB + ",,,\n")
	var names []string
	for _, a := range r.load("alice").TOTP.Authenticators {
		names = append(names, a.Name)
	}
	if want := []string{"Authenticator", "Authenticator 2", "Authenticator 3"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestImport_LinesAboutOneUser(t *testing.T) {
	for name, tc := range map[string]struct {
		lines   string
		phone   string
		apps    []string
		reports []string
	}{
		"equal addresses add authenticators": {
			"alice,+14155550123,," + secretA + ",,,A\nalice,+1 415 5550123,," + secretB + ",,,B\n", fixture.Alice, []string{"A", "B"}, nil,
		},
		"the same line twice": {
			"alice,+14155550123,," + secretA + ",,,A\nalice,+14155550123,," + secretA + ",,,A\n", fixture.Alice, []string{"A"}, nil,
		},
		"the later wins": {
			"alice,+14155550199,," + secretA + ",,,A\nbob,+14155550123,,,,,\nalice,+14155550123,," + secretB + ",,,B\n", fixture.Alice, []string{"B"},
			[]string{"4 an earlier line says something else about this user; this line counts"},
		},
		"and adds to itself": {
			"alice,+14155550199,," + secretA + ",,,A\nalice,+14155550123,," + secretB + ",,,B\nalice,+14155550123,," + secretA + ",,,C\n", fixture.Alice, []string{"B", "C"},
			[]string{"3 an earlier line says something else about this user; this line counts"},
		},
		"one name for two apps": {
			"alice,+14155550123,," + secretA + ",,,A\nalice,+14155550123,," + secretB + ",,,a\n", fixture.Alice, []string{"A"},
			[]string{"3 skipped: authenticator: Another authenticator app of this user has this name."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, r *rig) {
				for range 2 { // and the same again
					got := r.read(head + tc.lines)
					u := r.load("alice")
					var apps []string
					for _, a := range u.TOTP.Authenticators {
						apps = append(apps, a.Name)
					}
					if u.Phone != tc.phone || !slices.Equal(apps, tc.apps) || !slices.Equal(got.reports, tc.reports) {
						t.Errorf("%s, %q, reports %q", u.Phone, apps, got.reports)
					}
				}
			})
		})
	}
}

func TestImport_RoundTrips(t *testing.T) {
	r := newRig(t)
	line := head + "alice,+14155550123,," + secretA + ",,,\n"
	for _, want := range []int64{2, 1} { // created, unchanged
		ctx, trips := store.WithTrips(t.Context())
		if r.readFrom(ctx, strings.NewReader(line)); trips.Load() != want {
			t.Errorf("%d round trips, want %d", trips.Load(), want)
		}
	}
}

// Faults of lines and refusals by the store are reported in the order of the file.
func TestImport_ReportsInOrder(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
		r.read(head + aliceApp)
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
		got := r.read(head + file.String())
		var lines []string
		for _, text := range got.reports {
			line, _, _ := strings.Cut(text, " ")
			lines = append(lines, line)
		}
		if !slices.Equal(lines, want) || got.Read != 300 || got.Skipped != len(want) || got.Created != 300-len(want) || got.Line != 301 {
			t.Errorf("%+v\ngot  %v\nwant %v", got.Tally, lines, want)
		}
	})
}

func TestImport_TwiceIsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rigOn(t, newMapTable())
		r.batches = rapid.Bool().Draw(t, "batches")
		name := rapid.SampledFrom([]string{"alice", "bob", "Am\u00e9lie", "bad/name"})
		phone := rapid.SampledFrom([]string{"", fixture.Alice, "+919876543210", "bad"})
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
		first := r.read(file)
		once := r.all()
		second := r.read(file)
		if first.err != nil || second.err != nil || second.Created > 0 {
			t.Fatalf("%+v\n%+v", first, second)
		}
		if first.Contradictions == 0 && (second.Changed > 0 || first.Skipped != second.Skipped) {
			t.Fatalf("the second run: %+v", second)
		}
		if twice := r.all(); !reflect.DeepEqual(once, twice) {
			t.Fatalf("file:\n%s\nonce  %+v\ntwice %+v", file, once, twice)
		}
	})
}
