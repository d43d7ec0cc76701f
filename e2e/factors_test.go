package e2e

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"os"
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

// shows is what oathtool, another implementation, makes of a key URI some steps
// from now.
func shows(t *testing.T, uri string, steps int) string {
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

// userPath is where a user is.
func userPath(name string) string { return "/api/users/" + url.PathEscape(name) }

// register registers a user of a number of its own.
func register(t *testing.T, c *client, name string) (number string) {
	t.Helper()
	number = newNumber()
	want(t, c.do("PUT", userPath(name), "application/json", `{"phone": "`+number+`"}`), "201")
	return number
}

// enroll gives a registered user an app of eight digits, and returns its URI.
// The code of the present step is spent by that; the next one's may be used.
func enroll(t *testing.T, c *client, name string) (uri string) {
	t.Helper()
	e := c.post(userPath(name)+"/totp", fields{"digits": 8})
	want(t, e, "201")
	uri = e.text("uri")
	want(t, c.post(userPath(name)+"/totp/confirm", fields{"code": shows(t, uri, 0)}), "200")
	return uri
}

// recoveryCodes makes a user's set.
func recoveryCodes(t *testing.T, c *client, name string) (codes []string) {
	t.Helper()
	made := c.do("POST", userPath(name)+"/recovery-codes", "", "")
	want(t, made, "201")
	list, _ := made.fields["codes"].([]any)
	for _, code := range list {
		text, _ := code.(string)
		codes = append(codes, text)
	}
	if len(codes) != 10 {
		t.Fatalf("made %s", made.body)
	}
	return codes
}

func ofTOTP(name, code string) fields {
	return fields{"user": name, "factor": "totp", "code": code}
}

func ofRecovery(name, code string) fields {
	return fields{"user": name, "factor": "recovery", "code": code}
}

// The whole life of a user's factors, under the host, for a name that a path
// makes much of.
func TestStoryOfFactors(t *testing.T) {
	t.Parallel()
	for mode, options := range map[string]functionshost.Options{
		"in the cloud": {}, "behind Azure's edge": {Edge: true, ReverseRoutes: true},
	} {
		for _, name := range []string{"Zoë 100% O'Neill: Söhne", "50% & co, 日本 🔑"} {
			t.Run(mode+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				_, c := w.host(func(o *functionshost.Options) { o.Edge, o.ReverseRoutes = options.Edge, options.ReverseRoutes }, noPause, "TWOFA_BRAND=Köhler & Söhne")
				storyOfFactors(t, w, c, name)
			})
		}
	}
}

func storyOfFactors(t *testing.T, w *world, c *client, name string) {
	t.Helper()
	number, path := register(t, c, name), userPath(name)
	want(t, c.check(ofTOTP(name, "12345678")), "404 not_found")
	e := c.do("POST", path+"/totp", "", "") // the host forwards no body
	want(t, e, "201")
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
	code := shows(t, uri, 0)
	want(t, c.post(path+"/totp/confirm", fields{"code": wrong(code)}), "422 wrong_code")
	confirmed := c.post(path+"/totp/confirm", fields{"code": code})
	want(t, confirmed, "200")
	if confirmed.text("status") != "confirmed" || strings.Contains(confirmed.body, e.text("secret")) {
		t.Errorf("confirmed as %s", confirmed.body)
	}
	want(t, c.check(ofTOTP(name, code)), "422 wrong_code") // spent
	approved := c.check(fields{"user": name, "code": shows(t, uri, 1)})
	want(t, approved, "200")
	if app, _ := approved.fields["authenticator"].(map[string]any); app["id"] != id || approved.text("factor") != "totp" || approved.text("user") != name {
		t.Errorf("approved as %s", approved.body)
	}
	renamed := c.do("PATCH", path+"/totp/"+id, "application/json", `{"name": "Zoë's 100% phone"}`)
	want(t, renamed, "200")
	listed := c.do("GET", path+"/totp", "", "")
	want(t, listed, "200")
	if !containsAll(listed.body, []string{id, "Zoë's 100% phone", "used_at"}) || strings.Contains(listed.body, e.text("secret")) {
		t.Errorf("listed as %s", listed.body)
	}

	codes := recoveryCodes(t, c, name)
	used := c.check(ofRecovery(name, strings.ToLower(codes[0])))
	want(t, used, "200")
	if used.number("recovery_codes_left") != 9 || used.fields["alerted"] != true || w.warnings(number) != 1 {
		t.Errorf("used as %s, %d warnings", used.body, w.warnings(number))
	}
	want(t, c.check(ofRecovery(name, codes[0])), "422 wrong_code")
	if body := w.sent(number)[0].Body; !containsAll(body, []string{"recovery code", "Köhler & Söhne", "9"}) {
		t.Errorf("told %q", body)
	}
	if left := c.do("GET", path+"/recovery-codes", "", ""); left.number("left") != 9 {
		t.Errorf("%v %s are left", left, left.body)
	}

	if r := c.do("DELETE", path+"/totp/"+id, "", ""); r.status != 204 {
		t.Errorf("the removal was answered %v", r)
	}
	want(t, c.check(ofTOTP(name, shows(t, uri, 1))), "404 not_found")
	enroll(t, c, name)
	for _, at := range []string{path + "/totp", path} {
		if r := c.do("DELETE", at, "", ""); r.status != 204 {
			t.Errorf("the removal was answered %v", r)
		}
	}
	register(t, c, name)
	want(t, c.check(ofRecovery(name, codes[1])), "404 not_found") // nothing is left of the one who was erased
	want(t, c.check(ofTOTP(name, shows(t, uri, 1))), "404 not_found")
}

// Authenticator apps and codes live through a rotation: a new secret in front,
// then the one in the middle goes.
func TestFactorsSurviveARotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	index, middle, fresh := secret.Generate(), secret.Generate(), secret.Generate()
	const name = "zoë"
	before := w.process("TWOFA_SECRET=" + middle + "," + index)
	register(t, before.client, name)
	first, second := enroll(t, before.client, name), enroll(t, before.client, name)
	codes := recoveryCodes(t, before.client, name)
	before.kill()

	sealedBy := func(setting string) bool {
		keys, err := secret.Parse(setting)
		if err != nil {
			t.Fatal(err)
		}
		d := &user.Directory{Table: w.table(), Keys: keys}
		row, err := d.Table.Get(t.Context(), store.Key(d.Key(name)))
		if err != nil {
			t.Fatal(err)
		}
		current := keys.Current()
		return bytes.HasPrefix(row.Data, current[:])
	}
	rotated := w.process("TWOFA_SECRET=" + fresh + "," + middle + "," + index)
	if !sealedBy(middle + "," + index) {
		t.Error("the row is not sealed with the old secret to begin with")
	}
	want(t, rotated.check(ofTOTP(name, shows(t, first, 1))), "200")
	if !sealedBy(fresh + "," + index) {
		t.Error("a check does not seal the row anew")
	}
	want(t, rotated.check(ofRecovery(name, codes[0])), "200")
	rotated.kill()

	after := w.process("TWOFA_SECRET=" + fresh + "," + index)
	want(t, after.check(ofTOTP(name, shows(t, second, 1))), "200")
	want(t, after.check(ofRecovery(name, codes[1])), "410 expired") // made under the one that went
	want(t, after.check(ofRecovery(name, recoveryCodes(t, after.client, name)[0])), "200")
}

// On its own, with the embedded store: what was accepted stays so.
func TestFactorsWithTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := alone(t, dir)
	register(t, p.client, "al")
	uri, codes := enroll(t, p.client, "al"), recoveryCodes(t, p.client, "al")
	code := shows(t, uri, 1)
	want(t, p.check(ofTOTP("al", code)), "200")
	want(t, p.check(ofRecovery("al", codes[0])), "200")
	p.kill()
	p = alone(t, dir)
	want(t, p.check(ofTOTP("al", code)), "422 wrong_code")
	want(t, p.check(ofRecovery("al", codes[0])), "422 wrong_code")
	want(t, p.check(ofRecovery("al", codes[1])), "200")
	p.kill()
	rows, err := os.ReadFile(filepath.Join(dir, "twofa.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{uri, strings.Split(strings.Split(uri, "secret=")[1], "&")[0], codes[2], strings.ReplaceAll(codes[2], "-", "")} {
		if bytes.Contains(rows, []byte(text)) {
			t.Errorf("the file has %q", text)
		}
	}
}
