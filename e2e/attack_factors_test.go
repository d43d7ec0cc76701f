package e2e

import (
	"encoding/base32"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/testing/functionshost"
)

// acceptedOnce fails the test unless of many answers to one code exactly one is
// an approval, and the others are refusals. Where storage was too busy to say
// that the approval is kept, the one that brought it about is told 503.
func acceptedOnce(t *testing.T, replies []reply) {
	t.Helper()
	n := count(replies)
	t.Log(n)
	if n["200"] > 1 || n["200"] == 0 && n["503 storage_unavailable"] == 0 || n["422 wrong_code"] > 10 ||
		n["200"]+n["422 wrong_code"]+n["429 too_many_checks"]+n["503 storage_unavailable"] != len(replies) {
		t.Errorf("answered %v", n)
	}
}

// neverAgain fails the test if the code is accepted once more.
func neverAgain(t *testing.T, c *client, body fields) {
	t.Helper()
	if r := c.check(body); r.String() != "422 wrong_code" && r.String() != "429 too_many_checks" {
		t.Errorf("once more it was answered %v", r)
	}
}

// Attack 19, and R9. One step that comes a hundred times at once, over two
// processes, is accepted once.
func TestAttack19_R9_TheSameStepAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.pair()
	register(t, p[0].client, "al")
	uri := enroll(t, p[0].client, "al")
	code := shows(t, uri, 1)
	acceptedOnce(t, atOnce(100, func(i int) reply {
		if i%4 < 2 {
			return p[i%2].check(ofTOTP("al", code))
		}
		return p[i%2].check(fields{"user": "al", "code": code})
	}))
	for _, p := range p {
		neverAgain(t, p.client, ofTOTP("al", code))
		neverAgain(t, p.client, ofTOTP("al", shows(t, uri, 0))) // the older one
	}
}

// Attack 3, and R8. The same of a recovery code; each request costs a slow hash.
func TestAttack03_R8_TheSameRecoveryCodeAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.pair()
	number := register(t, p[0].client, "al")
	codes := recoveryCodes(t, p[0].client, "al")
	replies := atOnce(20, func(i int) reply { return p[i%2].check(ofRecovery("al", codes[0])) })
	acceptedOnce(t, replies)
	for _, p := range p {
		neverAgain(t, p.client, ofRecovery("al", codes[0]))
		if left := p.do("GET", userPath("al")+"/recovery-codes", "", ""); left.number("left") != 9 {
			t.Errorf("left: %s", left.body)
		}
	}
	if n := w.warnings(number); n > 1 || n != count(replies)["200"] {
		t.Errorf("%d warnings were sent", n)
	}
}

// Attack 5, and R5. What one user's app shows, and what is on one user's paper,
// is good for that user alone, and as what it is.
func TestAttack05_R5_FactorsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pair()
	names := []string{"al", "Al", "al " + "bo", "zoë"}
	shown, paper := make(map[string]string), make(map[string]string)
	for _, name := range names {
		register(t, p[0].client, name)
		shown[name], paper[name] = enroll(t, p[0].client, name), recoveryCodes(t, p[1].client, name)[0]
	}
	for owner, uri := range shown {
		shown[owner] = shows(t, uri, 1)
	}
	for _, user := range names {
		for i, owner := range names {
			if owner == user {
				continue
			}
			c := p[i%2].client
			for _, body := range []fields{ofTOTP(user, shown[owner]), {"user": user, "code": shown[owner]}, ofRecovery(user, paper[owner]), {"user": user, "code": paper[owner]}, ofTOTP(user, paper[owner])} {
				want(t, c.check(body), "422 wrong_code")
			}
			want(t, c.check(ofRecovery(user, shown[owner])), "400 invalid_request")
			want(t, c.check(fields{"user": user, "factor": "message", "code": paper[owner]}), "404 not_found")
		}
	}
	for i, name := range names {
		want(t, p[i%2].check(ofTOTP(name, shown[name])), "200")
		want(t, p[i%2].check(ofRecovery(name, paper[name])), "200")
	}
}

// Attack 17. A process that is killed around the write leaves a code either used
// or not, and never usable twice.
func TestAttack17_FactorsAndAKill(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verdict func(release <-chan struct{}) verdict
		applied bool
	}{
		"before the write":          {func(c <-chan struct{}) verdict { return verdict{hold: c, lose: true, drop: true} }, false},
		"with the write on its way": {func(c <-chan struct{}) verdict { return verdict{hold: c} }, true},
		"before storage's answer":   {func(c <-chan struct{}) verdict { return verdict{stall: c} }, true},
	} {
		for _, factor := range []string{"totp", "recovery"} {
			t.Run(name+", "+factor, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				proxy := newStorageProxy(t, w.storage)
				p, other := w.process("TWOFA_TABLES_CONNECTION="+proxy.connection), w.process()
				register(t, other.client, "al")
				body := fields{}
				if factor == "totp" {
					body = ofTOTP("al", shows(t, enroll(t, other.client, "al"), 1))
				} else {
					body = ofRecovery("al", recoveryCodes(t, other.client, "al")[0])
				}
				release := make(chan struct{})
				come := proxy.onNextWrite(c.verdict(release))
				answer := make(chan reply, 1)
				go func() { answer <- p.check(body) }()
				<-come
				p.kill()
				close(release)
				if r := <-answer; r.err == nil {
					t.Errorf("a killed process has answered %v", r)
				}
				used := func() bool {
					return strings.Contains(other.do("GET", userPath("al")+"/totp", "", "").body, "used_at") ||
						other.do("GET", userPath("al")+"/recovery-codes", "", "").number("left") == 9
				}
				if c.applied {
					waitFor(t, "the write", used)
				} else {
					if used() {
						t.Error("a write that never reached storage has had an effect")
					}
					want(t, other.check(body), "200")
				}
				neverAgain(t, other.client, body)
			})
		}
	}
}

// Attack 16, and R16. Whatever storage does, no code of an app and no recovery
// code is accepted twice, nor without being kept, and a wrong one that was
// answered is counted.
func TestAttack16_R16_FactorsAndStorageFaults(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a lost answer", "412 once", "503 to all writes", "gone right after the change", "no connection at all"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, w := storageFaults[name], newWorld(t)
			proxy := newStorageProxy(t, w.storage)
			p, direct := w.process("TWOFA_TABLES_CONNECTION="+proxy.connection), w.process()
			register(t, direct.client, "al")
			uri, paper := enroll(t, direct.client, "al"), recoveryCodes(t, direct.client, "al")[0]
			code := shows(t, uri, 1)
			failures := 0
			for _, tried := range []struct {
				body  fields
				right bool
			}{{ofTOTP("al", code), true}, {ofRecovery("al", paper), true}, {ofTOTP("al", wrong(code)), false}} {
				proxy.set(c.fault())
				r := p.check(tried.body)
				proxy.set(nil)
				switch {
				case !c.answered:
					want(t, r, "503 storage_unavailable")
				case tried.right:
					want(t, r, "200")
				default:
					want(t, r, "422 wrong_code")
				}
				if tried.right && !c.applied {
					want(t, p.check(tried.body), "200")
				}
				if !tried.right && c.applied {
					failures++
				}
				again := direct.check(tried.body)
				want(t, again, "422 wrong_code")
				if tried.body["factor"] == "totp" {
					if failures++; again.number("checks_left") != 10-failures {
						t.Errorf("right %t: after %d failures %s", tried.right, failures, again.body)
					}
				}
			}
		})
	}
}

// Attack 21, and R10. Neither an app's secret nor a code of a factor gets into
// the output, whatever happens and however much is logged.
func TestAttack21_R10_FactorCanaries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := newStorageProxy(t, w.storage)
	h, c := w.host(nil, noPause, "TWOFA_LOG_LEVEL=debug", "TWOFA_TABLES_CONNECTION="+proxy.connection)
	const name, raw, typed = "Canary Person", "canary-secret-bytes.", "CANARYCANARYCANA"
	path := userPath(name)
	number := register(t, c, name)
	brought := "otpauth://totp/Canary:canary?digits=8&secret=" + base32.StdEncoding.EncodeToString([]byte(raw))
	e := c.post(path+"/totp", fields{"uri": brought, "name": "Canary phone"})
	want(t, e, "201")
	secrets := map[string]string{
		"the number": number[1:], "the name": name, "the raw secret": raw, "the secret": e.text("secret"), "the URI": e.text("uri"), "the app's URI": brought,
		"what was typed": typed, "the app's name": "Canary phone",
	}
	for i, code := range recoveryCodes(t, c, name) {
		secrets[fmt.Sprint("recovery code ", i)] = strings.ReplaceAll(code, "-", "")
		secrets[fmt.Sprint("recovery code as shown ", i)] = code
	}
	secrets["a wrong code"] = wrong(shows(t, e.text("uri"), 0))
	secrets["the first code"], secrets["the second code"] = shows(t, e.text("uri"), 0), shows(t, e.text("uri"), 1)
	var answers strings.Builder
	seen := func(r reply) reply {
		answers.WriteString(r.body + fmt.Sprint(r.header) + "\n")
		return r
	}
	all := func(codes ...string) {
		for _, code := range codes {
			for _, factor := range []string{"", "totp", "recovery", "message", typed} {
				seen(c.check(fields{"user": name, "factor": factor, "code": code}))
			}
			seen(c.post(path+"/totp/confirm", fields{"code": code}))
			seen(c.post(path+"/totp", fields{"uri": brought, "digits": code}))
			seen(c.post(path+"/totp", fields{"uri": strings.Replace(brought, "digits=8", "digits=7", 1), "name": code + "\n"}))
			seen(c.do("PATCH", path+"/totp/"+url.PathEscape(code), "application/json", `{"name": "`+code+`!"}`))
			seen(c.do("DELETE", path+"/totp/"+url.PathEscape(code), "", ""))
		}
		seen(c.do("GET", path+"/totp", "", ""))
		seen(c.do("GET", path+"/recovery-codes", "", ""))
	}
	want(t, seen(c.post(path+"/totp/confirm", fields{"code": secrets["the first code"]})), "200")
	want(t, seen(c.check(ofTOTP(name, secrets["the second code"]))), "200")
	want(t, seen(c.check(ofRecovery(name, secrets["recovery code 0"]))), "200")
	want(t, seen(c.check(ofTOTP(name, secrets["the second code"]))), "422 wrong_code")
	want(t, seen(c.check(ofRecovery(name, secrets["recovery code as shown 0"]))), "422 wrong_code")
	all(secrets["a wrong code"], typed, brought, raw)
	proxy.set(storageFaults["503 to all writes"].fault())
	for _, body := range []fields{ofTOTP(name, secrets["a wrong code"]), ofRecovery(name, secrets["recovery code 1"])} {
		want(t, seen(c.check(body)), "503 storage_unavailable")
	}
	proxy.set(nil)
	if r := c.do("DELETE", path+"/totp", "", ""); r.status != 204 {
		t.Errorf("answered %v", r)
	}
	awaitLine(t, h, `"method":"DELETE"`, `"status":204`)
	var output strings.Builder
	lines := 0
	for _, entry := range h.Logs() {
		if entry.Stream != functionshost.FromHost {
			output.WriteString(entry.Text + "\n")
			lines++
		}
	}
	if lines < 40 {
		t.Errorf("there are only %d lines: %s", lines, &output)
	}
	noLeaks(t, "the output", output.String(), secrets)
	delete(secrets, "the app's name") // which is listed
	delete(secrets, "the name")       // which an approval names
	noLeaks(t, "an answer", answers.String(), secrets)
}
