package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"twofa/internal/app"
	"twofa/internal/check"
	"twofa/internal/client"
	"twofa/internal/store/boltstore"
	"twofa/internal/testing/azurite"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/plivotest"
	"twofa/internal/testing/smtptest"
	"twofa/internal/testing/twiliotest"
)

// checkWith runs the command with settings, as JSON too, and returns the table. Both have
// to agree, and to hold none of the canaries.
func checkWith(t *testing.T, dir string, settings map[string]string, canaries ...string) result {
	t.Helper()
	for name, value := range settings {
		t.Setenv(name, value)
	}
	table, object := runIn(t, dir, "", "check"), runIn(t, dir, "", "check", "--json")
	var r report
	if err := json.Unmarshal([]byte(object.stdout), &r); err != nil || r.Version != app.Version() || len(r.Findings)+1 != strings.Count(table.stdout, "\n") {
		t.Errorf("JSON: %v, %s", err, object.stdout)
	}
	for i, line := range strings.Split(strings.TrimSpace(table.stdout), "\n")[1:] {
		f := r.Findings[min(i, len(r.Findings)-1)]
		if !strings.HasPrefix(line, f.Name+" ") || !strings.HasSuffix(line, strings.TrimSpace(f.Setting+" "+f.Text)) || !strings.Contains(line, "  "+string(f.Result)+" ") {
			t.Errorf("the table has %q and the JSON %+v", line, f)
		}
	}
	wantResult := map[bool]check.Result{true: check.Failed, false: check.Worst(r.Findings)}[table.code != exitDone]
	if table.code != object.code || r.Result != wantResult || table.stderr+object.stderr != "" {
		t.Errorf("exit %d and %d, result %s, %s", table.code, object.code, r.Result, table.stderr+object.stderr)
	}
	for _, c := range canaries {
		if c != "" && strings.Contains(table.stdout+object.stdout, c) {
			t.Errorf("%q is in the output:\n%s", c, table.stdout)
		}
	}
	return table
}

// wantLines checks that the table has a line that matches each pattern.
func wantLines(t *testing.T, table string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)^` + p).MatchString(table) {
			t.Errorf("no line like %q in\n%s", p, table)
		}
	}
}

// content returns the files of a folder.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, name := range files(t, dir) {
		all[name] = read(t, filepath.Join(dir, name))
	}
	return all
}

func TestCheckOfTheEmbeddedStore(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, dir string)
		secret  string
		code    int
		want    string
	}{
		"no folder": {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, "", exitDone, "storage +warning +TWOFA_DATA_DIR .*does not exist"},
		"no store": {func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/twofa.db"))
			must(t, os.Remove(dir+"/secret"))
		}, "", exitDone, "storage +warning +TWOFA_DATA_DIR .*without a store"},
		"whole":         {nil, "", exitDone, "storage +ok +TWOFA_DATA_DIR .*can be opened"},
		"running":       {hold, "", exitDone, "storage +ok +.*another process"},
		"a file":        {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)); must(t, os.WriteFile(dir, nil, 0o600)) }, "", exitFailed, "storage +failed +.*does not name a folder"},
		"damaged":       {func(t *testing.T, dir string) { must(t, os.WriteFile(dir+"/twofa.db", []byte("text"), 0o600)) }, "", exitFailed, "storage +failed +.*twofa.db is damaged"},
		"secret alone":  {func(t *testing.T, dir string) { must(t, os.Remove(dir+"/twofa.db")) }, "", exitFailed, "storage +failed +.*with a secret and without the store"},
		"store alone":   {func(t *testing.T, dir string) { must(t, os.Remove(dir+"/secret")) }, "", exitFailed, "storage secret +failed +TWOFA_DATA_DIR .*without their secret"},
		"open secret":   {func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/secret", 0o644)) }, "", exitFailed, "storage secret +failed +TWOFA_DATA_DIR .*mode 0600"},
		"unreadable":    {func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/twofa.db", 0o400)) }, "", exitFailed, "storage +failed +TWOFA_DATA_DIR .*may not read and write"},
		"other secret":  {nil, fixture.Secret(1), exitFailed, "storage secret +failed +TWOFA_SECRET cannot open 2 of 2"},
		"two secrets":   {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, fixture.Secret(1, 2), exitDone, "secret +ok +TWOFA_SECRET has 2 secrets"},
		"own secret":    {nil, "", exitDone, "secret +ok +TWOFA_SECRET is not set"},
		"not set":       {nil, "", exitDone, "twilio +skipped +TWOFA_MESSENGER is console"},
		"no public url": {nil, "", exitDone, "public url +skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := importTwo(t)
			if strings.HasPrefix(name, "unreadable") && os.Getuid() == 0 {
				t.Skip("root may read everything")
			}
			if tc.prepare != nil {
				tc.prepare(t, dir)
			}
			before := make(map[string]string)
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				before = content(t, dir)
			}
			got := checkWith(t, dir, map[string]string{"TWOFA_SECRET": tc.secret}, dir, "CANARY", "canary", "+1415", tc.secret)
			wantLines(t, got.stdout, tc.want)
			if got.code != tc.code {
				t.Errorf("exit %d, want %d:\n%s", got.code, tc.code, got.stdout)
			}
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				if !maps.Equal(content(t, dir), before) {
					t.Error("the check has changed the folder")
				}
			} else if len(before) > 0 {
				t.Error("the folder is gone")
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hold opens the store, as a running service does.
func hold(t *testing.T, dir string) {
	t.Helper()
	s, err := boltstore.Open(filepath.Join(dir, "twofa.db"))
	must(t, err)
	t.Cleanup(func() { s.Close() })
}

// whole are settings that use every provider, on loopback.
func whole(t *testing.T, twilio *twiliotest.Server, plivo *plivotest.Server, bird *birdtest.Server, mail *smtptest.Server) map[string]string {
	t.Helper()
	return map[string]string{
		"TWOFA_SECRET": fixture.Secret(1), "TWOFA_STORE": "azure", "TWOFA_TABLES_CONNECTION": azurite.Shared(t), "TWOFA_TABLE_PREFIX": "canarytable",
		"TWOFA_MESSENGER": "providers", "TWOFA_CHANNELS": "sms,call,email", "TWOFA_COUNTRIES": "*",
		"TWILIO_ACCOUNT_SID": twiliotest.AccountSID, "TWILIO_AUTH_TOKEN": twiliotest.AuthToken, "TWILIO_BASE_URL": twilio.URL,
		"TWILIO_SMS_FROM": twiliotest.SMSFrom, "TWILIO_VOICE_FROM": twiliotest.VoiceFrom, "TWILIO_MESSAGING_SERVICE_SID": twiliotest.MessagingServiceSID,
		"TWOFA_ROUTES": "sms=twilio,plivo,bird", "BIRD_API_KEY": birdtest.APIKey, "BIRD_SMS_FROM": birdtest.SMSFrom, "BIRD_BASE_URL": bird.URL, "PLIVO_AUTH_ID": plivotest.AuthID, "PLIVO_AUTH_TOKEN": plivotest.AuthToken, "PLIVO_BASE_URL": plivo.URL,
		"PLIVO_SMS_FROM": plivotest.SMSFrom,
		"TWOFA_SMTP_URL": mail.URL, "TWOFA_EMAIL_FROM": "Canary <canary@acme.example>",
	}
}

// Exit code 0 if nothing failed, 1 if something failed, 2 if the settings are at fault. No
// output holds a secret, a number, an address or an answer's words, and nothing is sent.
func TestCheckOfAllProviders(t *testing.T) {
	clients := func(returns string) string {
		_, hash := client.NewSecret()
		return `[{"id": "shop", "secrets": ["` + hash + `"], "scopes": ["send", "check"], "return_urls": ["` + returns + `"]}]`
	}
	wrongKey := regexp.MustCompile(`AccountKey=[^;]+`).ReplaceAllString(azurite.Shared(t), "AccountKey=d3Jvbmcta2V5LWNhbmFyeQ==")
	for name, tc := range map[string]struct {
		change  map[string]string
		account twiliotest.Account
		code    int
		want    []string
	}{
		"right":       {nil, twiliotest.Account{}, exitDone, []string{"settings +ok", "secret +ok +TWOFA_SECRET has one", "storage +warning +TWOFA_TABLES_CONNECTION .*without the table", "clock +ok", "twilio account +ok", "plivo account +ok", "plivo sms sender +skipped", "bird key +ok", "bird webhook +warning +BIRD_WEBHOOK_SECRET", "smtp +ok", "settings +warning +TWOFA_PUBLIC_URL has a warning"}},
		"no route":    {map[string]string{"TWOFA_ROUTES": ""}, twiliotest.Account{}, exitDone, []string{"settings +warning +TWOFA_ROUTES has a warning", "plivo account +ok", "bird key +ok"}},
		"wrong Plivo": {map[string]string{"PLIVO_AUTH_TOKEN": "canarytoken"}, twiliotest.Account{}, exitFailed, []string{"plivo account +failed +PLIVO_AUTH_TOKEN", "twilio account +ok"}},
		"wrong Bird":  {map[string]string{"BIRD_API_KEY": "bk_eu1_canarytoken"}, twiliotest.Account{}, exitFailed, []string{"bird key +failed +BIRD_API_KEY", "plivo account +ok"}},
		"only Twilio": {map[string]string{"TWOFA_ROUTES": "", "PLIVO_AUTH_ID": "", "BIRD_API_KEY": ""}, twiliotest.Account{}, exitDone, []string{"plivo +skipped +PLIVO_AUTH_ID", "bird +skipped +BIRD_API_KEY"}},
		"trial":       {nil, twiliotest.Account{Type: "Trial"}, exitDone, []string{"twilio account +warning"}},
		"wrong token": {map[string]string{"TWILIO_AUTH_TOKEN": "canarytoken"}, twiliotest.Account{}, exitFailed,
			[]string{"twilio account +failed +TWILIO_AUTH_TOKEN", "twilio sms sender +skipped", "smtp +ok", "storage +warning"}},
		"wrong password":  {map[string]string{"TWOFA_SMTP_URL": "canary"}, twiliotest.Account{}, exitFailed, []string{"smtp +failed +TWOFA_SMTP_URL", "twilio account +ok"}},
		"wrong key":       {map[string]string{"TWOFA_TABLES_CONNECTION": wrongKey}, twiliotest.Account{}, exitFailed, []string{"storage +failed +TWOFA_TABLES_CONNECTION", "twilio account +ok"}},
		"misspelled":      {map[string]string{"TWOFA_BRANT": "canary"}, twiliotest.Account{}, exitDone, []string{"settings +warning +TWOFA_BRANT"}},
		"no mail":         {map[string]string{"TWOFA_CHANNELS": "sms", "TWOFA_SMTP_URL": "", "TWOFA_EMAIL_FROM": ""}, twiliotest.Account{}, exitDone, []string{"smtp +skipped +TWOFA_SMTP_URL"}},
		"no Twilio":       {map[string]string{"TWOFA_CHANNELS": "email", "TWILIO_ACCOUNT_SID": "", "TWOFA_ROUTES": "", "PLIVO_AUTH_ID": "", "BIRD_API_KEY": ""}, twiliotest.Account{}, exitDone, []string{"twilio +skipped +TWILIO_ACCOUNT_SID", "smtp +ok"}},
		"a client":        {map[string]string{"TWOFA_CLIENTS": clients("https://canary.example/done")}, twiliotest.Account{}, exitDone, []string{"clients +ok +TWOFA_CLIENTS has one client"}},
		"return in clear": {map[string]string{"TWOFA_CLIENTS": clients("http://canary.example/done")}, twiliotest.Account{}, exitFaulty, []string{"settings +failed +TWOFA_CLIENTS"}},
		"two faults":      {map[string]string{"TWOFA_SECRET": "canary", "TWOFA_CODE_TTL": "canary"}, twiliotest.Account{}, exitFaulty, []string{"settings +failed +TWOFA_SECRET entry 1", "settings +failed +TWOFA_CODE_TTL has"}},
	} {
		t.Run(name, func(t *testing.T) {
			twilio := twiliotest.Start(tc.account)
			defer twilio.Close()
			plivo := plivotest.Start(plivotest.Account{})
			defer plivo.Close()
			bird := birdtest.Start(birdtest.Account{})
			defer bird.Close()
			mail := smtptest.Start(t, smtptest.Options{Security: smtptest.Plain})
			settings := whole(t, twilio, plivo, bird, mail)
			maps.Copy(settings, tc.change)
			if name == "wrong password" {
				settings["TWOFA_SMTP_URL"] = strings.Replace(mail.URL, "5ec", "canary", 1)
			}
			canaries := []string{
				"canary.", "canarytoken", "canarytable", "canary@", "5ec", url.QueryEscape(smtptest.Password), smtptest.User, smtptest.Words, fixture.Secret(1), "127.0.0.1", "localhost",
				settings["TWOFA_TABLES_CONNECTION"], "devstoreaccount1", "AccountKey", twiliotest.AccountSID, twiliotest.AuthToken, twiliotest.SMSFrom, twiliotest.VoiceFrom, twiliotest.MessagingServiceSID,
				plivotest.AuthID, plivotest.AuthToken, birdtest.APIKey,
			}
			got := checkWith(t, t.TempDir(), settings, canaries...)
			wantLines(t, got.stdout, tc.want...)
			if got.code != tc.code {
				t.Errorf("exit %d, want %d:\n%s", got.code, tc.code, got.stdout)
			}
			if len(twilio.Accepted())+len(plivo.Accepted())+len(bird.Accepted()) > 0 || len(mail.Mails()) > 0 || slices.ContainsFunc(twilio.Calls(), func(c twiliotest.Call) bool { return c.Method != http.MethodGet }) {
				t.Error("the check has sent something")
			}
			if tc.code == exitFaulty && twilio.CallCount()+plivo.CallCount()+bird.CallCount()+mail.Connections() > 0 {
				t.Error("the check asks although the settings are at fault")
			}
		})
	}
}

// The service that answers at the public address has to be of this version.
func TestCheckAsksTheServiceForItsVersion(t *testing.T) {
	version := app.Version()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"version": version, "storage": "ok"})
	}))
	defer server.Close()
	settings := map[string]string{"TWOFA_PUBLIC_URL": server.URL}
	wantLines(t, checkWith(t, t.TempDir(), settings, server.URL).stdout, "public url health +ok")
	version = "canary"
	got := checkWith(t, t.TempDir(), settings, server.URL, "canary")
	wantLines(t, got.stdout, "public url health +warning +.*another version")
	if got.code != exitDone {
		t.Errorf("exit %d", got.code)
	}
}

// A wrong argument is 2, and help is 0.
func TestCheckAndItsArguments(t *testing.T) {
	for args, code := range map[string]int{"check help": exitDone, "check -h": exitDone, "check x": exitFaulty, "check -x": exitFaulty, "check --json x": exitFaulty} {
		dir := filepath.Join(t.TempDir(), "data")
		got := runIn(t, dir, "", strings.Fields(args)...)
		if got.code != code || !strings.Contains(got.stdout+got.stderr, checkUsage[:40]) || (got.stdout == "") != (code == exitFaulty) {
			t.Errorf("%s: exit %d, %q, %q", args, got.code, got.stdout, got.stderr)
		}
	}
}

// A signal ends the check, which then has failed.
func TestCheckEndsBySignal(t *testing.T) {
	twilio := twiliotest.Start(twiliotest.Account{})
	defer twilio.Close()
	plivo := plivotest.Start(plivotest.Account{})
	defer plivo.Close()
	bird := birdtest.Start(birdtest.Account{})
	defer bird.Close()
	mail := smtptest.Start(t, smtptest.Options{Security: smtptest.Plain})
	mail.On(smtptest.Greeting, smtptest.Hang())
	for name, value := range whole(t, twilio, plivo, bird, mail) {
		t.Setenv(name, value)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-mail.Hung(); cancel() }()
	stdout, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	must(t, err)
	defer stdout.Close()
	_, code := runWith(ctx, t, t.TempDir(), "", stdout, "check")
	wantLines(t, read(t, stdout.Name()), "smtp +failed +TWOFA_SMTP_URL .*stopped")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
}

// The runbook has a row for every name that a finding can have.
func TestDocs_TheRunbookHasEveryNameOfTheCheck(t *testing.T) {
	doc := read(t, "docs/runbooks/check.md")
	seen := 0
	for _, path := range []string{"command_check.go", "internal/app/check.go", "internal/reach/reach.go", "internal/notify/twilio/check.go", "internal/notify/plivo/check.go", "internal/notify/bird/check.go", "internal/notify/email/check.go", "internal/store/azuretable/check.go"} {
		for _, m := range regexp.MustCompile(`(?:Name: |found\(|add\()"([a-z ]+)"`).FindAllStringSubmatch(read(t, path), -1) {
			seen++
			if !strings.Contains(doc, "`"+m[1]+"`") {
				t.Errorf("docs/runbooks/check.md does not name %q", m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d names were found", seen)
	}
}
