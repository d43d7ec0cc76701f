package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/account"
	"twofa/internal/app"
	"twofa/internal/config"
	"twofa/internal/otp"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
)

const (
	canaryNumber = "+14155550177"
	otherNumber  = "+14155550199"
	canaryMail   = "canary@example.com"
)

// deskRig runs the commands on accounts over a real table, at times of the test's.
type deskRig struct {
	*testing.T
	app.Parts
	now time.Time
}

func newDeskRig(t *testing.T) *deskRig {
	return &deskRig{t, app.Parts{Table: rig.Open(t), Keys: fixture.Keys(t, 1)}, fixture.Noon}
}

// do runs a command.
func (r *deskRig) do(name string, o accountOptions, texts ...string) result {
	r.Helper()
	stdout, err := os.Create(filepath.Join(r.TempDir(), "stdout"))
	if err != nil {
		r.Fatal(err)
	}
	defer stdout.Close()
	var stderr strings.Builder
	d := accountDesk{
		command: &command{stdout: stdout, stderr: &stderr}, store: app.Accounts(r.Parts), recipients: app.Recipients(r.Parts),
		settings: config.Settings{SignIn: config.SignIn{Session: time.Hour, StaleAddress: 90 * 24 * time.Hour}, Countries: map[string]bool{"US": true, "DE": true}}, now: r.now,
	}
	code := d.do(r.Context(), name, texts, o)
	text, err := os.ReadFile(stdout.Name())
	if err != nil {
		r.Fatal(err)
	}
	return result{string(text), stderr.String(), code}
}

// must is do of a command that succeeds.
func (r *deskRig) must(name string, o accountOptions, texts ...string) string {
	r.Helper()
	res := r.do(name, o, texts...)
	if res.code != exitDone || res.stderr != "" {
		r.Fatalf("%s: exit %d, %q", name, res.code, res.stderr)
	}
	return res.stdout
}

// refused is do of a command that changes nothing and says why.
func (r *deskRig) refused(why, name string, o accountOptions, texts ...string) {
	r.Helper()
	if res := r.do(name, o, texts...); res.code != exitStopped || res.stdout != "" || !strings.Contains(res.stderr, why) || strings.Contains(strings.ToLower(res.stderr), "canary") || strings.Contains(res.stderr, "0177") {
		r.Errorf("%s: exit %d, %q %q, want %q", name, res.code, res.stdout, res.stderr, why)
	}
}

// opened is the account that an address opens, one without a name if it opens none.
func (r *deskRig) opened(address string) user.User {
	r.Helper()
	u, ok, err := app.Accounts(r.Parts).Find(r.Context(), address, r.now)
	if err != nil {
		r.Fatal(err)
	}
	if !ok {
		return user.User{}
	}
	return u
}

// change changes the account that an address opens.
func (r *deskRig) change(address string, change func(u *user.User)) {
	r.Helper()
	accounts := app.Accounts(r.Parts)
	_, err := accounts.Change(r.Context(), accounts.Key(r.opened(address).Name), r.now, func(u user.User) (user.User, error) {
		change(&u)
		return u, nil
	})
	if err != nil {
		r.Fatal(err)
	}
}

func proofOf(text string, at time.Time) []account.Proof {
	return []account.Proof{{Kind: account.KindOf(text), Address: text, At: at}}
}

// signIn signs in with an address.
func (r *deskRig) signIn(address string) {
	r.Helper()
	r.change(address, func(u *user.User) {
		u.Account = u.Account.SignIn(account.Entry{Proofs: proofOf(address, r.now), ID: account.NewSessionID(), Client: "shop"}, r.now)
	})
}

func TestAccounts_AddSaysWhatItHasDone(t *testing.T) {
	t.Parallel()
	r := newDeskRig(t)
	r.must("add", accountOptions{}, "+14155550100")
	for _, tc := range []struct {
		texts []string
		o     accountOptions
		want  string
	}{
		{[]string{"+1 (415) 555-0177"}, accountOptions{}, "added\n" + worth},
		{[]string{canaryNumber}, accountOptions{}, "unchanged: the account has all of this\n"},
		{[]string{"Canary@Example.com", canaryNumber}, accountOptions{name: "Canary K.", locale: "pt_br"}, "changed\n" + worth},
		{[]string{canaryMail}, accountOptions{name: "Other", locale: "de"}, "unchanged: the account has all of this\n"},
		{[]string{"zoe@example.com"}, accountOptions{name: "Zoë"}, "added\n" + worth},
	} {
		if got := r.must("add", tc.o, tc.texts...); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.texts, got, tc.want)
		}
	}
	u := r.opened(canaryMail)
	if u.Name == "" || r.opened(canaryNumber).Name != u.Name || u.Account.Name != "Canary K." || u.Locale != "pt-BR" || len(u.Account.Addresses) != 2 {
		t.Errorf("%+v", u)
	}
	for _, tc := range []struct {
		texts []string
		o     accountOptions
		want  string
	}{
		{[]string{"canary"}, accountOptions{}, "not an address: a phone number must begin with +"},
		{[]string{"canary@"}, accountOptions{}, "not an address: an e-mail address has to look like"},
		{[]string{canaryNumber, "+14155550199"}, accountOptions{}, "not added: an account has one phone number and one e-mail address"},
		{[]string{canaryMail, "x@example.com"}, accountOptions{}, "not added: an account has one phone number and one e-mail address"},
		{[]string{"+442071838750"}, accountOptions{}, "not added: This service does not send to the number's country (GB)."},
		{[]string{"new@example.com"}, accountOptions{name: strings.Repeat("canary", 20)}, "not added: name: At most 100 characters"},
		{[]string{"new@example.com"}, accountOptions{locale: "canary canary"}, "not added: locale: "},
		{[]string{"+14155550100", canaryMail}, accountOptions{}, "not added: the addresses belong to two accounts"},
		{[]string{otherNumber, canaryMail}, accountOptions{}, "not added: the account of one address has another number or e-mail address than the other: only its person can replace that."},
	} {
		r.refused(tc.want, "add", tc.o, tc.texts...)
	}
	if r.opened(otherNumber).Name != "" || r.opened("new@example.com").Name != "" {
		t.Error("a refused address opens an account")
	}
	if err := app.Accounts(r.Parts).Claim(t.Context(), otherNumber, "somebody", false, r.now); err != nil {
		t.Fatal(err)
	}
	r.refused("not added: somebody is about to prove or to give this address: try again in a minute", "add", accountOptions{}, otherNumber)
	r.now = r.now.Add(3 * time.Minute)
	r.must("add", accountOptions{}, otherNumber)
}

// A number that the operator has mistyped opens nothing of the account, whoever asks, and one that belongs to
// another account cannot be given.
func TestR23_MistypedNumberOfTheOperator(t *testing.T) {
	t.Parallel()
	r := newDeskRig(t)
	r.must("add", accountOptions{}, otherNumber, canaryMail)
	r.signIn(canaryMail)
	r.now = r.now.Add(time.Hour)
	mine := r.opened(canaryMail)
	if r.opened(otherNumber).Name != "" || mine.Phone != "" || mine.Account.Phone() != "" {
		t.Error("a number that nobody has proven opens the account, or is told")
	}
	if mine.Account.Suffices(proofOf(otherNumber, r.now), account.Has{}, account.Seen{Known: true}, 24*time.Hour, r.now) || mine.Account.Relies(proofOf(otherNumber, r.now), r.now) {
		t.Error("a number that nobody has proven counts at the account")
	}
	// The owner of that number calls the help desk.
	r.refused("not unlocked: this address opens no account", "unlock", accountOptions{}, otherNumber)
	r.refused("not erased: this address opens no account", "erase", accountOptions{again: otherNumber}, otherNumber)
	r.must("add", accountOptions{}, otherNumber) // which the account has: nothing changes
	if now := r.opened(canaryMail); !slices.Equal(now.Account.Addresses, mine.Account.Addresses) || r.opened(otherNumber).Name != "" {
		t.Error("a number that nobody has proven has changed the account")
	}

	r.must("add", accountOptions{}, canaryNumber)
	r.signIn(canaryNumber)
	r.refused("the addresses belong to two accounts", "add", accountOptions{}, canaryNumber, canaryMail)
	theirs := r.opened(canaryNumber)
	if theirs.Name == mine.Name || len(theirs.Account.Addresses) != 1 {
		t.Error("a number of another account was given")
	}
	r.must("add", accountOptions{}, "zoe@example.com")
	r.refused("the addresses belong to two accounts", "add", accountOptions{}, canaryNumber, "zoe@example.com")
	if r.opened(canaryNumber).Name != theirs.Name {
		t.Error("the number has left its account")
	}
}

func TestAccounts_ShowSaysWhatAnAddressIs(t *testing.T) {
	t.Parallel()
	r := newDeskRig(t)
	r.refused("no account has this address", "show", accountOptions{}, canaryNumber)
	r.must("add", accountOptions{name: "Canary K."}, canaryNumber, canaryMail)
	row := func(columns ...string) *regexp.Regexp {
		return regexp.MustCompile(`(?m)^` + strings.Join(columns, ` +`) + `$`)
	}
	const day = 24 * time.Hour
	shows := func(o accountOptions, want ...*regexp.Regexp) string {
		t.Helper()
		text := r.must("show", o, canaryMail)
		for _, w := range want {
			if !w.MatchString(text) {
				t.Errorf("at %v, no %s in\n%s", r.now, w, text)
			}
		}
		return text
	}
	text := shows(accountOptions{}, row("made", "not yet: nobody has signed in"), row("name", "known"), row("locale", "-"), row("unlocked", "no"), row("browsers", "0, of which 0 are signed in"), row("consents", "-"),
		row(`\+1\*{6}0177`, "given", "2026-03-01T12:00:00Z", "never", "2026-03-31T12:00:00Z", "yes"),
		row(`c\*{6}@example.com`, "given", "2026-03-01T12:00:00Z", "never", "2026-03-31T12:00:00Z", "yes"))
	if strings.Contains(strings.ToLower(text), "canary") || strings.Contains(text, canaryNumber) {
		t.Errorf("not masked:\n%s", text)
	}
	r.now = r.now.Add(time.Hour)
	r.signIn(canaryMail)
	r.change(canaryMail, func(u *user.User) {
		u.Recovery.Codes = []recovery.Code{{MAC: [32]byte{1}}, {MAC: [32]byte{2}, UsedAt: r.now}, {MAC: [32]byte{3}}}
		u.Account = u.Account.Consent("shop", []string{"openid"}, r.now).Consent("bank", []string{"openid"}, r.now)
	})
	shows(accountOptions{full: true}, row("made", "2026-03-01T13:00:00Z"), row("name", `Canary K\.`), row("factors", "authenticator apps: 0, recovery codes: 2"), row("browsers", "1, of which 1 are signed in"), row("consents", "shop bank"),
		row(`\+14155550177`, "given", "2026-03-01T12:00:00Z", "never", "2026-03-31T12:00:00Z", "no"),
		row(canaryMail, "proven", "2026-03-01T13:00:00Z", "2026-03-01T13:00:00Z", "never", "yes"))

	r.now = r.now.Add(day) // the person replaces the number that was given, and a day later again
	for _, number := range []string{otherNumber, canaryNumber} {
		r.now = r.now.Add(day)
		r.change(canaryMail, func(u *user.User) {
			var err error
			if u.Account, err = u.Account.Add(proofOf(number, r.now)[0], proofOf(canaryMail, r.now), r.now, r.now); err != nil {
				t.Fatal(err)
			}
		})
	}
	shows(accountOptions{}, row("browsers", "0, of which 0 are signed in"), row(`\+1\*{6}0199`, "replaced", "2026-03-03T13:00:00Z", "2026-03-03T13:00:00Z", "2026-03-05T13:00:00Z", "yes"),
		row(`\+1\*{6}0177`, "new", "2026-03-04T13:00:00Z", "2026-03-04T13:00:00Z", "2026-03-05T13:00:00Z", "no"))
	r.now = r.now.Add(day)
	text = shows(accountOptions{}, row(`\+1\*{6}0177`, "proven", "2026-03-04T13:00:00Z", "2026-03-04T13:00:00Z", "never", "yes"))
	if strings.Contains(text, "0199") {
		t.Errorf("the replaced number is there for over a day:\n%s", text)
	}
	r.now = r.now.Add(90 * day)
	shows(accountOptions{}, row(`\+1\*{6}0177`, "stale", ".*", "2026-03-04T13:00:00Z", "never", "no"), row(`c\*{6}@example.com`, "stale", ".*", "never", "no"))
	r.must("unlock", accountOptions{}, canaryMail)
	shows(accountOptions{}, row("unlocked", "until 2026-06-03T14:00:00Z"), row(`c\*{6}@example.com`, "stale", ".*", "never", "yes"))
	r.now = r.now.Add(time.Hour)
	shows(accountOptions{}, row("unlocked", "no"), row(`c\*{6}@example.com`, "stale", ".*", "never", "no"))
}

// The limits of those who type the address are raised, three times a day. The account is unlocked whenever the
// operator says so.
func TestAccounts_UnlockRaisesTheLimitsOfWhatIsTyped(t *testing.T) {
	t.Parallel()
	r := newDeskRig(t)
	r.refused("not unlocked: this address opens no account", "unlock", accountOptions{}, canaryNumber)
	r.must("add", accountOptions{}, canaryNumber)
	unlocks := func() int {
		recipients := app.Recipients(r.Parts)
		row, err := recipients.Load(t.Context(), recipients.Key(canaryNumber))
		if err != nil {
			t.Fatal(err)
		}
		return len(row.Tally(otp.Caller{Origin: otp.OriginTyped}).Unlocks)
	}
	if unlocks() != 0 {
		t.Error("a refused unlock raises the limits")
	}
	for i := range otp.MaxUnlocksPerDay {
		r.now = fixture.Noon.Add(time.Duration(i) * time.Hour)
		text := r.must("unlock", accountOptions{}, "+1 415 555 0177")
		want := fmt.Sprintf("signs in alone until %s\nWhoever types this address has the wrong codes and messages of a day once more, until %s. It can be unlocked %d more times within 24 hours.\n",
			inUTC(r.now.Add(time.Hour)), inUTC(r.now.Add(24*time.Hour)), 2-i)
		if !strings.Contains(text, want) || unlocks() != i+1 {
			t.Errorf("%q, %d unlocks, want %q", text, unlocks(), want)
		}
	}
	r.now = r.now.Add(10 * time.Hour)
	res := r.do("unlock", accountOptions{}, canaryNumber)
	if res.code != exitSkipped || !strings.Contains(res.stdout, "signs in alone until 2026-03-02T01:00:00Z") || !strings.Contains(res.stderr, "unlocked 3 times within 24 hours. The next time is at 2026-03-02T12:00:00Z.") {
		t.Errorf("exit %d, %q %q", res.code, res.stdout, res.stderr)
	}
	if a, _ := r.opened(canaryNumber).Account.Find(canaryNumber); !a.UnlockedAt.Equal(r.now) || unlocks() != 3 {
		t.Errorf("unlocked at %v, %d unlocks", a.UnlockedAt, unlocks())
	}
}

func TestAccounts_EraseAsksForTheAddressAgain(t *testing.T) {
	t.Parallel()
	r := newDeskRig(t)
	r.refused("not erased: this address opens no account", "erase", accountOptions{again: canaryNumber}, canaryNumber)
	r.must("add", accountOptions{}, canaryNumber, canaryMail)
	for _, again := range []string{"", "canary", canaryMail, otherNumber} {
		r.refused("not erased: give the same address once more, as --yes ADDRESS", "erase", accountOptions{again: again}, canaryNumber)
	}
	was := r.opened(canaryNumber)
	if was.Name == "" {
		t.Fatal("erased without a confirmation")
	}
	if got := r.must("erase", accountOptions{again: "+1 (415) 555-0177"}, canaryNumber); !strings.HasPrefix(got, "erased: ") {
		t.Error(got)
	}
	if r.opened(canaryNumber).Name != "" || r.opened(canaryMail).Name != "" {
		t.Error("the account is there")
	}
	r.must("add", accountOptions{}, canaryMail)
	if u := r.opened(canaryMail); u.Account.Seed == was.Account.Seed {
		t.Error("the next account is the old one")
	}
}

// The commands run on the store of the settings while the service is stopped, and need no clients. They print
// no address and no name but with --full.
func TestAccounts_OnTheStoreOfTheSettings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	t.Setenv("TWOFA_CLIENTS", "")
	os.Unsetenv("TWOFA_CLIENTS") // Setenv restores it
	printed := ""
	for _, tc := range []struct {
		args   string
		code   int
		stdout string // how it begins
	}{
		{"add +14155550177 canary@example.com --name Canary --locale de", exitDone, "added\n"},
		{"add --name=Other canary@example.com", exitDone, "unchanged: "},
		{"show canary@example.com", exitDone, "made "},
		{"unlock +14155550177", exitDone, "unlocked: "},
		{"erase canary@example.com", exitStopped, ""},
		{"erase --yes Canary@Example.com canary@example.com", exitDone, "erased: "},
		{"show canary@example.com", exitStopped, ""},
	} {
		res := runIn(t, dir, "", append([]string{"accounts"}, strings.Fields(tc.args)...)...)
		if res.code != tc.code || !strings.HasPrefix(res.stdout, tc.stdout) || (res.stdout == "") != (tc.stdout == "") || !strings.HasPrefix(res.stderr, "store: embedded, in ") {
			t.Errorf("%s: exit %d, %q %q", tc.args, res.code, res.stdout, res.stderr)
		}
		printed += strings.ReplaceAll(res.stderr, dir, "") + res.stdout
	}
	if strings.Contains(strings.ToLower(printed), "canary") || strings.Contains(printed, "5550177") {
		t.Errorf("an address or a name was printed:\n%s", printed)
	}
	runIn(t, dir, "", "accounts", "add", canaryMail, "--name", "Canary K.")
	if res := runIn(t, dir, "", "accounts", "show", canaryMail, "--full"); !strings.Contains(res.stdout, canaryMail+" ") || !strings.Contains(res.stdout, "Canary K.") {
		t.Errorf("--full: %q", res.stdout)
	}
	_, parts, err := (&command{stderr: &strings.Builder{}}).open()
	if err != nil {
		t.Fatal(err)
	}
	defer parts.Table.Close()
	for _, args := range []string{"import -", "unlock canary@example.com"} {
		res := runIn(t, dir, "phone,email\n", append([]string{"accounts"}, strings.Fields(args)...)...)
		if res.code != exitStopped || res.stdout != "" || !strings.Contains(res.stderr, "Stop the service first") {
			t.Errorf("%s while the service runs: exit %d, %q %q", args, res.code, res.stdout, res.stderr)
		}
	}
}

func TestAccounts_Import(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	const good = "phone,email,name,locale\n+14155550177,canary@example.com,\"Canary, K.\",de\n,zoe@example.com,,\n"
	const bad = good + "canary,,,\n+14155550177,canary2@example.com,,\n+14155550177,zoe@example.com,,\n+14155550177,,,\n+14155550199,\n"
	file := filepath.Join(t.TempDir(), "accounts.csv")
	if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, stdin, path string
		want              []string
		code              int
	}{
		{"a file with faults", "", file, []string{
			"\nline 4: skipped: phone: ", "\nline 5: skipped: the account of one address has another number or e-mail address", "\nline 6: skipped: the addresses belong to two accounts",
			"\nline 8: skipped: it has 2 fields, and the first line has 4", "\nread 7, created 2, changed 0, unchanged 1, skipped 4; ", "\nthe skipped lines were not taken in",
		}, exitSkipped},
		{"again, in UTF-16", fixture.UTF16(binary.LittleEndian, "\ufeff"+strings.ReplaceAll(good, "\n", "\r\n")), "-", []string{"read 2, created 0, changed 0, unchanged 2, skipped 0; "}, exitDone},
		{"no such file", "", file + ".missing", []string{"no such file"}, exitStopped},
		{"semicolons", strings.ReplaceAll(good, ",", ";"), "-", []string{"nothing was taken in: the columns are separated by semicolons: separate them by commas"}, exitStopped},
		{"a file of users", twoUsers, "-", []string{"nothing was taken in: column 4 of the first line is unknown"}, exitStopped},
		{"a quote that is open", "phone,email\n,new@example.com\n\"" + strings.Repeat("canary,\n", 10_000), "-", []string{"created 1, ", "stopped after line 2: a line has over 64 KiB"}, exitStopped},
	} {
		res := runIn(t, dir, tc.stdin, "accounts", "import", tc.path)
		if res.code != tc.code || res.stdout != "" || strings.Contains(strings.ToLower(res.stderr), "canary") || slices.ContainsFunc(tc.want, func(w string) bool { return !strings.Contains(res.stderr, w) }) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", tc.name, res.code, res.stdout, res.stderr)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if stderr, code := runWith(ctx, t, dir, good, nil, "accounts", "import", "-"); code != exitStopped || !strings.Contains(stderr, "stopped by a signal") {
		t.Errorf("a signal: exit %d, %q", code, stderr)
	}
	res := runIn(t, dir, "", "accounts", "show", "--full", "zoe@example.com")
	if res.code != exitDone || !strings.Contains(res.stdout, "zoe@example.com ") {
		t.Errorf("%q", res.stdout)
	}
}
