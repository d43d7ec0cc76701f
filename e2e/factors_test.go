package e2e

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/testing/functionshost"
	"twofa/internal/testing/tooltest"
	"twofa/internal/user"
)

// totpCode returns the code of a key URI as oathtool computes it, some steps from now.
func totpCode(t *testing.T, uri string, steps int) string {
	t.Helper()
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	period, err := strconv.Atoi(query.Get("period"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Duration(steps*period) * time.Second)
	out, err := exec.Command(tooltest.Path(t, "oathtool"), "--totp="+query.Get("algorithm"), "--digits="+query.Get("digits"),
		"--time-step-size="+query.Get("period")+"s", "--now=@"+strconv.FormatInt(at.Unix(), 10), "--base32", query.Get("secret")).Output()
	if err != nil {
		t.Fatalf("oathtool: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// userPath returns the path of a user, in the form that holds any name.
func userPath(name string) string {
	return "/api/users/~" + base64.RawURLEncoding.EncodeToString([]byte(name))
}

// register registers a user with a new number.
func register(t *testing.T, c *client, name string) (number string) {
	t.Helper()
	number = newNumber()
	want(t, c.do("PUT", userPath(name), "application/json", `{"phone": "`+number+`"}`), "201")
	return number
}

// enroll enrolls and confirms an app with codes of eight digits for a registered user, and
// returns its URI. The confirmation uses the code of the present step. The code of the next
// step has not been used.
func enroll(t *testing.T, c *client, name string) (uri string) {
	t.Helper()
	e := want(t, c.post(userPath(name)+"/totp", fields{"digits": 8}), "201")
	uri = e.text("uri")
	want(t, c.post(userPath(name)+"/totp/confirm", fields{"code": totpCode(t, uri, 0)}), "200")
	return uri
}

// recoveryCodes makes a set of recovery codes for a user.
func recoveryCodes(t *testing.T, c *client, name string) (codes []string) {
	t.Helper()
	made := want(t, c.do("POST", userPath(name)+"/recovery-codes", "", ""), "201")
	list, _ := made.fields["codes"].([]any)
	for _, code := range list {
		text, _ := code.(string)
		codes = append(codes, text)
	}
	if len(codes) != 10 {
		t.Fatalf("the set is %s", made.body)
	}
	return codes
}

func totpCheck(name, code string) fields {
	return fields{"user": name, "factor": "totp", "code": code}
}

func recoveryCheck(name, code string) fields {
	return fields{"user": name, "factor": "recovery", "code": code}
}

// A user's factors from the enrollment to the erasure, under the host, for names with
// characters that have a meaning in paths.
func TestFactorsUnderTheHost(t *testing.T) {
	t.Parallel()
	for mode, options := range map[string]functionshost.Options{
		"in the cloud": {}, "behind Azure's edge": {Edge: true, ReverseRoutes: true},
	} {
		for _, name := range []string{"Zoë 100% O'Neill: Söhne", "50% & co, 日本 🔑"} {
			t.Run(mode+" "+name, func(t *testing.T) {
				rig := newParallelRig(t)
				_, c := rig.host(func(o *functionshost.Options) { o.Edge, o.ReverseRoutes = options.Edge, options.ReverseRoutes }, noPause, "TWOFA_BRAND=Köhler & Söhne")
				useFactors(t, rig, c, name)
			})
		}
	}
}

func useFactors(t *testing.T, rig *rig, c *client, name string) {
	t.Helper()
	number, path := register(t, c, name), userPath(name)
	want(t, c.check(totpCheck(name, "12345678")), "404 not_found")
	e := want(t, c.do("POST", path+"/totp", "", ""), "201") // without a body, as the host forwards it
	id, uri := e.text("id"), e.text("uri")
	if parsed, err := url.Parse(uri); err != nil || parsed.Path != "/Köhler & Söhne:"+name || parsed.Query().Get("issuer") != "Köhler & Söhne" {
		t.Errorf("the URI is %s (%v)", uri, err)
	}
	picture, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(e.text("qr_png"), "data:image/png;base64,"))
	if err != nil {
		t.Fatal(err)
	}
	if scanned := tooltest.ReadQR(t, picture); scanned != uri {
		t.Errorf("a scanner reads %s, want %s", scanned, uri)
	}
	code := totpCode(t, uri, 0)
	want(t, c.post(path+"/totp/confirm", fields{"code": wrong(code)}), "422 wrong_code")
	confirmed := want(t, c.post(path+"/totp/confirm", fields{"code": code}), "200")
	if confirmed.text("status") != "confirmed" || strings.Contains(confirmed.body, e.text("secret")) {
		t.Errorf("confirmed as %s", confirmed.body)
	}
	want(t, c.check(totpCheck(name, code)), "422 wrong_code") // used
	approved := want(t, c.check(fields{"user": name, "code": totpCode(t, uri, 1)}), "200")
	wantFields(t, approved, fields{"factor": "totp", "user": name})
	if app, _ := approved.fields["authenticator"].(map[string]any); app["id"] != id {
		t.Errorf("approved as %s", approved.body)
	}
	want(t, c.do("PATCH", path+"/totp/"+id, "application/json", `{"name": "Zoë's 100% phone"}`), "200")
	listed := want(t, c.get(path+"/totp"), "200")
	if !containsAll(listed.body, []string{id, "Zoë's 100% phone", "used_at"}) || strings.Contains(listed.body, e.text("secret")) {
		t.Errorf("listed as %s", listed.body)
	}

	codes := recoveryCodes(t, c, name)
	used := want(t, c.check(recoveryCheck(name, strings.ToLower(codes[0]))), "200")
	wantFields(t, used, fields{"recovery_codes_left": 9, "alerted": true})
	if n := rig.alerts(number); n != 1 {
		t.Errorf("%d alerts were sent, want 1", n)
	}
	want(t, c.check(recoveryCheck(name, codes[0])), "422 wrong_code")
	if body := rig.sent(number)[0].Body; !containsAll(body, []string{"recovery code", "Köhler & Söhne", "9"}) {
		t.Errorf("the alert is %q", body)
	}
	wantFields(t, c.get(path+"/recovery-codes"), fields{"left": 9})

	want(t, c.do("DELETE", path+"/totp/"+id, "", ""), "204")
	want(t, c.check(totpCheck(name, totpCode(t, uri, 1))), "404 not_found")
	enroll(t, c, name)
	for _, at := range []string{path + "/totp", path} {
		want(t, c.do("DELETE", at, "", ""), "204")
	}
	register(t, c, name)
	want(t, c.check(recoveryCheck(name, codes[1])), "404 not_found") // nothing is left of the erased user
	want(t, c.check(totpCheck(name, totpCode(t, uri, 1))), "404 not_found")
}

// Authenticator apps and recovery codes stay valid through a rotation of the secret: a new
// secret is added as the first one, then the middle one is removed.
func TestFactorsSurviveARotation(t *testing.T) {
	rig := newParallelRig(t)
	index, middle, fresh := secret.Generate(), secret.Generate(), secret.Generate()
	const name = "zoë"
	before := rig.process("TWOFA_SECRET=" + middle + "," + index)
	register(t, before.client, name)
	first, second := enroll(t, before.client, name), enroll(t, before.client, name)
	codes := recoveryCodes(t, before.client, name)
	before.kill()

	sealedBy := func(setting string) bool {
		keys := keyring(t, setting)
		users := &user.Store{Table: rig.table(), Keys: keys}
		row, err := users.Table.Get(t.Context(), store.Key(users.Key("main", name)))
		if err != nil {
			t.Fatal(err)
		}
		current := keys.Current()
		return bytes.HasPrefix(row.Data, current[:])
	}
	rotated := rig.process("TWOFA_SECRET=" + fresh + "," + middle + "," + index)
	if !sealedBy(middle + "," + index) {
		t.Error("the row was not sealed with the old secret")
	}
	want(t, rotated.check(totpCheck(name, totpCode(t, first, 1))), "200")
	if !sealedBy(fresh + "," + index) {
		t.Error("a check does not seal the row with the new secret")
	}
	want(t, rotated.check(recoveryCheck(name, codes[0])), "200")
	rotated.kill()

	after := rig.process("TWOFA_SECRET=" + fresh + "," + index)
	want(t, after.check(totpCheck(name, totpCode(t, second, 1))), "200")
	want(t, after.check(recoveryCheck(name, codes[1])), "410 expired") // made with the removed secret
	want(t, after.check(recoveryCheck(name, recoveryCodes(t, after.client, name)[0])), "200")
}

// Without a host and with the embedded store: used codes are still used after a restart.
func TestFactorsWithTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := standalone(t, dir)
	register(t, p.client, "al")
	uri, codes := enroll(t, p.client, "al"), recoveryCodes(t, p.client, "al")
	code := totpCode(t, uri, 1)
	want(t, p.check(totpCheck("al", code)), "200")
	want(t, p.check(recoveryCheck("al", codes[0])), "200")
	p.kill()
	p = standalone(t, dir)
	want(t, p.check(totpCheck("al", code)), "422 wrong_code")
	want(t, p.check(recoveryCheck("al", codes[0])), "422 wrong_code")
	want(t, p.check(recoveryCheck("al", codes[1])), "200")
	p.kill()
	rows := readFile(t, filepath.Join(dir, "twofa.db"))
	for _, text := range []string{uri, strings.Split(strings.Split(uri, "secret=")[1], "&")[0], codes[2], strings.ReplaceAll(codes[2], "-", "")} {
		if bytes.Contains(rows, []byte(text)) {
			t.Errorf("the file contains %q", text)
		}
	}
}

// Attack 36. The operator's secret leaked. With the secret marked, what the thief can
// compute from it is refused over HTTP; addresses, users, apps, recovery codes and
// counters are as before.
func TestAttack36_AStolenSecretIsRetired(t *testing.T) {
	rig := newParallelRig(t)
	stolen, fresh := secret.Generate(), secret.Generate()
	const name = "zoë"
	before := rig.process("TWOFA_SECRET=" + stolen)
	register(t, before.client, name)
	app, codes := enroll(t, before.client, name), recoveryCodes(t, before.client, name)
	number, other := newNumber(), newNumber()
	id, code := rig.start(before.client, number)
	otherID, otherCode := rig.start(before.client, other)
	for range 5 {
		want(t, before.check(fields{"id": otherID, "code": wrong(otherCode)}), "422 wrong_code")
	}
	before.kill()

	after := rig.process("TWOFA_SECRET="+fresh+",index:"+stolen, "TWOFA_MAX_FAILURES_PER_DAY=6", "TWOFA_RESEND_AFTER=0s")
	want(t, after.check(fields{"id": id, "code": code}), "410 expired")
	want(t, after.check(fields{"to": number, "code": code}), "410 expired")
	want(t, after.status(id), "200")
	want(t, after.check(totpCheck(name, totpCode(t, app, 1))), "200")
	want(t, after.check(recoveryCheck(name, codes[0])), "200")
	otherID, otherCode = rig.start(after.client, other)
	want(t, after.check(fields{"id": otherID, "code": wrong(otherCode)}), "422 wrong_code") // the sixth of the day
	want(t, after.check(fields{"id": otherID, "code": otherCode}), "429 too_many_checks")
	id, code = rig.start(after.client, number)
	want(t, after.check(fields{"id": id, "code": code}), "200")
}
