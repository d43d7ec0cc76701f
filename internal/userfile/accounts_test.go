package userfile_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/signin"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/internal/userfile"
)

const accountHead = "phone,email,name,locale\n"

// accounts are those of the rig, without faults.
func (r *rig) accounts() *signin.Accounts {
	return &signin.Accounts{Table: r.kept.Table, Keys: r.kept.Keys, Users: r.kept}
}

// give imports a file of accounts.
func (r *rig) give(file string) (got imported) {
	r.t.Helper()
	im := &userfile.AccountImport{
		Accounts:  &signin.Accounts{Table: r.table, Keys: r.users.Keys, Users: r.users},
		Countries: map[string]bool{"US": true, "IN": true}, Now: func() time.Time { return fixture.Noon },
	}
	im.Workers, im.Report = 4, func(line int, text string) { got.reports = append(got.reports, fmt.Sprintf("%d %s", line, text)) }
	if r.batches {
		im.Workers, im.Batch, im.BatchSize = 1, r.batch, 16
	}
	got.err = im.Run(context.Background(), strings.NewReader(file))
	got.Tally = im.Tally()
	return got
}

// people lists the accounts, each as its addresses, name and locale.
func (r *rig) people() (list []string) {
	r.t.Helper()
	err := r.kept.Each(context.Background(), 1, func(_ otp.UserKey, u user.User, err error) error {
		text := u.Account.Name + "/" + u.Locale
		for _, a := range u.Account.Addresses {
			text += " " + a.Text
			if v, ok, err := r.accounts().Find(context.Background(), a.Text, fixture.Noon); err != nil || !ok || v.Name != u.Name {
				r.t.Fatalf("an address does not lead to its account: %v", err)
			}
		}
		list = append(list, text)
		return err
	})
	if err != nil {
		r.t.Fatalf("list: %v", err)
	}
	slices.Sort(list)
	return list
}

func TestAccountImport_GivesALineAsAWholeOrReportsWhyNot(t *testing.T) {
	const known = "+14155550100,known@example.com,Known,\n+14155550101,,,\n"
	for name, tc := range map[string]struct {
		line string
		want string // the account, else how the report goes on
	}{
		"all":                      {`+1 (415) 555-0123,Alice@Example.com,"Smith, Alice",pt_br`, "Smith, Alice/pt-BR +14155550123 alice@example.com"},
		"only a number":            {`+14155550123,,,`, "/ +14155550123"},
		"only a mail address":      {`,alice@example.com,,`, "/ alice@example.com"},
		"no address":               {`,,canary,de`, "phone: Give a phone number"},
		"not a number":             {`canary,,,`, "phone: "},
		"a mail address as number": {`canary@example.com,,,`, "phone: "},
		"not a mail address":       {`,canary,,`, "email: "},
		"a country":                {`+447911123456,,,`, "This service does not send to"},
		"a premium number":         {`+19005550123,,,`, "The service does not send to"},
		"a language":               {`+14155550123,,,canary canary`, "locale: "},
		"a long name":              {`+14155550123,,` + strings.Repeat("canary", 17) + `,`, "name: At most 100 characters"},
		"a name that hides":        {"+14155550123,,canary\u202ecanary,", "name: "},
		"two accounts":             {`+14155550101,known@example.com,,`, "the addresses belong to two accounts"},
		"another number":           {`+14155550123,known@example.com,,`, "the account of one address has another"},
		"another mail address":     {`+14155550100,canary@example.com,,`, "the account of one address has another"},
		"a field too few":          {`+14155550123,,`, "it has 3 fields, and the first line has 4"},
		"a quote within":           {`+14155550123,,can"ary,`, "its quotes are not as in RFC 4180"},
		"not UTF-8":                {"+14155550123,,can\xffary,", "name: this is not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, func(t *testing.T, r *rig) {
				r.give(accountHead + known)
				before := append(r.people(), "/ zoe@example.com")
				got := r.give(accountHead + tc.line + "\n,zoe@example.com,,\n")
				added := slices.DeleteFunc(r.people(), func(p string) bool { return slices.Contains(before, p) })
				if strings.Contains(tc.want, "/") {
					if got.err != nil || !slices.Equal(added, []string{tc.want}) || got.Created != 2 || len(got.reports) > 0 {
						t.Errorf("%q, %+v", added, got)
					}
					return
				}
				if got.err != nil || len(added) > 0 || got.Skipped != 1 || got.Created != 1 || len(r.people()) != len(before) ||
					len(got.reports) != 1 || !strings.HasPrefix(got.reports[0], "2 skipped: "+tc.want) || strings.Contains(got.reports[0], "canary") {
					t.Errorf("%q, %+v, want %q", added, got, tc.want)
				}
			})
		})
	}
}

// A file is read as that of users is: other programs' files, or what they are.
func TestAccountImport_ReadsFilesOfOtherPrograms(t *testing.T) {
	t.Parallel()
	const file = "Email,phone\nalice@example.com,+1 415 555 0123\n"
	for name, tc := range map[string]struct{ file, want string }{
		"UTF-16":                {inUTF16(binary.LittleEndian, strings.ReplaceAll(file, "\n", "\r\n"), false), ""},
		"UTF-16 without a mark": {inUTF16(binary.BigEndian, file, true), "UTF-16: save it as UTF-8"},
		"CR":                    {strings.ReplaceAll(file, "\n", "\r"), ""},
		"semicolons":            {strings.ReplaceAll(file, ",", ";"), "separated by semicolons: separate them by commas"},
		"users":                 {"name,secret\n", "column 2 of the first line is unknown"},
		"no header":             {"canary@example.com,+14155550123\n", "column 1 of the first line is unknown"},
		"no mail addresses":     {"phone,name\n", "the column email is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			got := r.give(tc.file)
			if tc.want == "" {
				if all := r.people(); got.err != nil || !slices.Equal(all, []string{"/ +14155550123 alice@example.com"}) {
					t.Errorf("%v, %q", got.err, all)
				}
				return
			}
			if got.err == nil || !strings.Contains(got.err.Error(), tc.want) || strings.Contains(got.err.Error(), "canary") || len(r.people()) > 0 {
				t.Errorf("%v", got.err)
			}
		})
	}
}

// Lines that share an address are written in their order, also by several workers: none of them is in the
// way of another.
func TestAccountImport_LinesAboutOnePerson(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, r *rig) {
		var file strings.Builder
		var want []string
		for i := range 60 {
			fmt.Fprintf(&file, "+1415555%04d,,,\n+1415555%04d,p%d@example.com,P,\n,p%d@example.com,Other,de\n", i, i, i, i)
			want = append(want, fmt.Sprintf("P/de +1415555%04d p%d@example.com", i, i))
		}
		got := r.give(accountHead + file.String())
		slices.Sort(want)
		if all := r.people(); got.err != nil || got.Created != 60 || got.Changed != 120 || !slices.Equal(all, want) {
			t.Errorf("%+v, %q", got, all)
		}
		if got := r.give(accountHead + file.String()); got.err != nil || got.Unchanged != 180 {
			t.Errorf("again: %+v", got)
		}
	})
}

// What a try has claimed before storage failed is not in the way of the next one.
func TestAccountImport_RepeatsWhatTheStoreDidNotAnswer(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, r *rig) {
		r.batchOnRig()
		fault := func(call int) (down, lost bool) { return call%13 == 0, call%29 == 0 }
		if r.batches { // a batch fails as a whole
			fault = func(call int) (down, lost bool) { return call == 4 || call == 20, call == 40 }
		}
		r.table.Break(func(call int) testrig.Fault {
			switch down, lost := fault(call); {
			case down:
				return testrig.Down
			case lost:
				return testrig.Lost
			}
			return testrig.None
		})
		var file strings.Builder
		for i := range 20 {
			fmt.Fprintf(&file, "+1415555%04d,p%d@example.com,,\n", i, i)
		}
		got := r.give(accountHead + file.String())
		r.table.Break(nil)
		if all := r.people(); got.err != nil || got.Read != 20 || got.Skipped > 0 || len(all) != 20 {
			t.Errorf("%+v, %q", got, all)
		}
	})
}

// A claim of a request that is at work is reported, and the line can be imported again when it has ended.
func TestAccountImport_AClaimThatIsAtWork(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, r *rig) {
		if err := r.accounts().Claim(t.Context(), mail, "somebody", false, fixture.Noon.Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		got := r.give(accountHead + "," + mail + ",,\n,zoe@example.com,,\n")
		if want := []string{"2 skipped: somebody is about to prove or to give this address: try again in a minute"}; got.err != nil || !slices.Equal(got.reports, want) || got.Created != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// A row that cannot be read only affects its own line.
func TestAccountImport_LeavesARowThatItCannotRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.give(accountHead + "," + mail + ",,\n")
	u, ok, err := r.accounts().Find(t.Context(), mail, fixture.Noon)
	if err != nil || !ok {
		t.Fatal(err)
	}
	r.plant(store.Key(r.users.Key(signin.Directory, u.Name)), []byte("not sealed"))
	got := r.give(accountHead + "," + mail + ",Anna,\n,zoe@example.com,,\n")
	if want := []string{"2 skipped: the stored account cannot be read or written"}; got.err != nil || !slices.Equal(got.reports, want) || got.Created != 1 {
		t.Errorf("%+v", got)
	}
}

// Two accounts never share an address. One worker reads lines in their order, so that the second import
// changes nothing, and refuses the same.
func TestAccountImport_TwiceIsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := rigOn(t, newMapTable())
		r.batches = rapid.Bool().Draw(t, "batches")
		phone := rapid.SampledFrom([]string{"", fixture.Alice, "+919876543210", "bad"})
		email := rapid.SampledFrom([]string{"", mail, "b@example.com", "c@example.com"})
		file := accountHead
		for range rapid.IntRange(0, 12).Draw(t, "lines") {
			file += fmt.Sprintf("%s,%s,%s,%s\n", phone.Draw(t, "phone"), email.Draw(t, "email"), rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "name"), rapid.SampledFrom([]string{"", "de"}).Draw(t, "locale"))
		}
		first := r.give(file)
		once := r.people()
		second := r.give(file)
		if first.err != nil || second.err != nil || len(first.reports) != first.Skipped || first.Created != len(once) {
			t.Fatalf("%+v\n%+v", first, second)
		}
		if again := second.Created+second.Changed > 0 || second.Skipped != first.Skipped || !slices.Equal(r.people(), once); again && r.batches {
			t.Fatalf("file:\n%s\nonce  %q\ntwice %q", file, once, r.people())
		}
		seen := make(map[string]bool)
		for _, p := range r.people() {
			for _, a := range strings.Fields(p[strings.Index(p, "/"):])[1:] {
				if seen[a] {
					t.Fatalf("two accounts have %s: %q", a, once)
				}
				seen[a] = true
			}
		}
	})
}
