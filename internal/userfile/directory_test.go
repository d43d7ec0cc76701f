package userfile_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
	"twofa/internal/userfile"
)

// An import and an export touch the users of their directory only.
func TestAFileIsOfOneDirectory(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
		imports := func(d user.Directory, file string) userfile.Tally {
			im := &userfile.Import{Users: r.users, Directory: d, Channels: channels, Now: fixture.NewClock().Now}
			im.Workers, im.Report = 1, func(line int, text string) { t.Errorf("line %d: %s", line, text) }
			if r.batches {
				im.Batch, im.BatchSize = r.batch, 16
			}
			if err := im.Run(t.Context(), strings.NewReader(head+file)); err != nil {
				t.Fatal(err)
			}
			return im.Tally()
		}
		exports := func(d user.Directory) (string, userfile.Exported) {
			var out bytes.Buffer
			ex := &userfile.Export{Users: r.users, Directory: d, Workers: 2}
			if err := ex.Run(t.Context(), &out); err != nil {
				t.Fatal(err)
			}
			return out.String(), ex.Tally()
		}
		inMain := "alice,+14155550123,,,,,\n"
		inShop := "alice,+919876543210,,,,,\n"
		for d, file := range map[user.Directory]string{"main": inMain, "shop": inShop} {
			if got := imports(d, file); got.Created != 1 || got.Read != 1 {
				t.Errorf("%s: %+v", d, got)
			}
		}
		if got := imports("shop", inShop); got.Unchanged != 1 {
			t.Errorf("again: %+v", got)
		}
		imports("staff", "bob,+14155550123,,,,,\ncarol,+14155550123,,,,,\n")
		for d, want := range map[user.Directory]struct {
			file   string
			others map[user.Directory]int
		}{
			"main":  {inMain, map[user.Directory]int{"shop": 1, "staff": 2}},
			"shop":  {inShop, map[user.Directory]int{"main": 1, "staff": 2}},
			"empty": {"", map[user.Directory]int{"main": 1, "shop": 1, "staff": 2}},
		} {
			users := strings.Count(want.file, "\n")
			file, tally := exports(d)
			if file != head+want.file || tally.Users != users || tally.Lines != users || tally.Skipped != 0 || !maps.Equal(tally.Others, want.others) {
				t.Errorf("%s: %+v\n%s", d, tally, file)
			}
		}
		found := map[otp.UserKey]bool{}
		err := r.kept.Each(t.Context(), 1, func(key otp.UserKey, u user.User, err error) error {
			found[key] = err == nil && key == r.kept.Key(u.Directory, u.Name)
			return err
		})
		if err != nil || len(found) != 4 || !found[r.kept.Key("main", "alice")] || !found[r.kept.Key("shop", "alice")] {
			t.Errorf("%v, %v", found, err)
		}
	})
}
