package e2e

import (
	"encoding/base32"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// mustAcceptOnce fails the test unless, of many answers to one code, exactly one is an
// approval and the others are refusals. If storage was too busy to confirm that the
// approval is kept, the answer is 503 instead of the approval.
func mustAcceptOnce(t *testing.T, replies []reply) {
	t.Helper()
	n := count(replies)
	t.Log(n)
	if n["200"] > 1 || n["200"] == 0 && n["503 storage_unavailable"] == 0 || n["422 wrong_code"] > 10 ||
		n["200"]+n["422 wrong_code"]+n["429 too_many_checks"]+n["503 storage_unavailable"]+n["503 busy"] != len(replies) {
		t.Errorf("answered %v", n)
	}
}

// mustNotPass fails the test if the code is accepted once more.
func mustNotPass(t *testing.T, c *client, body fields) {
	t.Helper()
	if r := c.check(body); r.String() != "422 wrong_code" && r.String() != "429 too_many_checks" {
		t.Errorf("the repeated check was answered %v", r)
	}
}

// Attack 19, and R9. If the code of one step comes a hundred times at the same time,
// to two processes, it is accepted once.
func TestAttack19_R9_OneStepConcurrently(t *testing.T) {
	rig := newRig(t)
	p := rig.pair()
	register(t, p[0].client, "al")
	uri := enroll(t, p[0].client, "al")
	code := totpCode(t, uri, 1)
	mustAcceptOnce(t, concurrently(100, func(i int) reply {
		if i%4 < 2 {
			return p[i%2].check(totpCheck("al", code))
		}
		return p[i%2].check(fields{"user": "al", "code": code})
	}))
	for _, p := range p {
		mustNotPass(t, p.client, totpCheck("al", code))
		mustNotPass(t, p.client, totpCheck("al", totpCode(t, uri, 0))) // the code of the step before
	}
}

// Attack 3, and R8. The same for a recovery code. There are fewer requests, because
// each one costs a slow hash.
func TestAttack03_R8_OneRecoveryCodeConcurrently(t *testing.T) {
	rig := newRig(t)
	p := rig.pair()
	number := register(t, p[0].client, "al")
	codes := recoveryCodes(t, p[0].client, "al")
	replies := concurrently(20, func(i int) reply { return p[i%2].check(recoveryCheck("al", codes[0])) })
	mustAcceptOnce(t, replies)
	for _, p := range p {
		mustNotPass(t, p.client, recoveryCheck("al", codes[0]))
		wantFields(t, p.get(userPath("al")+"/recovery-codes"), fields{"left": 9})
	}
	if n := rig.alerts(number); n > 1 || n != count(replies)["200"] {
		t.Errorf("%d alerts were sent", n)
	}
}

// Attack 5, and R5. A code of one user's app, and one user's recovery code, pass for
// that user only, and as that factor only.
func TestAttack05_R5_FactorsOfOthers(t *testing.T) {
	rig := newParallelRig(t)
	p := rig.pair()
	names := []string{"al", "Al", "al " + "bo", "zoë"}
	uris, appCodes, recovery := make(map[string]string), make(map[string]string), make(map[string]string)
	for _, name := range names {
		register(t, p[0].client, name)
		uris[name], recovery[name] = enroll(t, p[0].client, name), recoveryCodes(t, p[1].client, name)[0]
	}
	for owner, uri := range uris {
		appCodes[owner] = totpCode(t, uri, 1)
	}
	for _, user := range names {
		for i, owner := range names {
			if owner == user {
				continue
			}
			c := p[i%2].client
			for _, body := range []fields{totpCheck(user, appCodes[owner]), {"user": user, "code": appCodes[owner]}, recoveryCheck(user, recovery[owner]), {"user": user, "code": recovery[owner]}} {
				want(t, c.check(body), "422 wrong_code")
			}
			want(t, c.check(totpCheck(user, recovery[owner])), "400 invalid_request")
			want(t, c.check(recoveryCheck(user, appCodes[owner])), "400 invalid_request")
			want(t, c.check(fields{"user": user, "factor": "message", "code": recovery[owner]}), "404 not_found")
		}
	}
	for i, name := range names {
		want(t, p[i%2].check(totpCheck(name, appCodes[name])), "200")
		want(t, p[i%2].check(recoveryCheck(name, recovery[name])), "200")
	}
}

// Attack 17. After a process was killed around the write, a code is either used or not,
// and it never passes twice.
func TestAttack17_KilledAroundTheWriteOfAFactor(t *testing.T) {
	t.Parallel()
	for point := range killPoints {
		for _, factor := range []string{"totp", "recovery"} {
			t.Run(point+", "+factor, func(t *testing.T) {
				rig := newParallelRig(t)
				proxy, p, other := rig.proxied()
				register(t, other.client, "al")
				var body fields
				if factor == "totp" {
					body = totpCheck("al", totpCode(t, enroll(t, other.client, "al"), 1))
				} else {
					body = recoveryCheck("al", recoveryCodes(t, other.client, "al")[0])
				}
				applied := killAround(t, point, proxy, p, body, func() bool {
					return strings.Contains(other.get(userPath("al")+"/totp").body, "used_at") ||
						other.get(userPath("al")+"/recovery-codes").number("left") == 9
				})
				if !applied {
					want(t, other.check(body), "200")
				}
				mustNotPass(t, other.client, body)
			})
		}
	}
}

// Attack 16, and R16. Whatever storage does, a code of an app or a recovery code is
// accepted only if its use is kept, and only once. A wrong code that was answered is
// counted.
func TestAttack16_R16_FactorsAndStorageFaults(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a lost answer", "412 once", "503 to all writes", "down right after the change", "no connection at all"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, rig := storageFaults[name], newRig(t)
			proxy, p, direct := rig.proxied()
			register(t, direct.client, "al")
			uri, recovery := enroll(t, direct.client, "al"), recoveryCodes(t, direct.client, "al")[0]
			code := totpCode(t, uri, 1)
			failures := 0
			for _, tried := range []struct {
				body  fields
				right bool
			}{{totpCheck("al", code), true}, {recoveryCheck("al", recovery), true}, {totpCheck("al", wrong(code)), false}} {
				proxy.set(c.faults())
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
				again := want(t, direct.check(tried.body), "422 wrong_code")
				if tried.body["factor"] == "totp" {
					failures++
					wantFields(t, again, fields{"checks_left": 10 - failures})
				}
			}
		})
	}
}

// Attack 21, and R10. No app's secret and no code of a factor is in the output, even at
// the most detailed log level and after every kind of failure.
func TestAttack21_R10_FactorCanaries(t *testing.T) {
	rig := newParallelRig(t)
	proxy := rig.proxy()
	h, c := rig.host(nil, noPause, "TWOFA_LOG_LEVEL=debug", proxy.setting)
	const name, raw, typed = "Canary Person", "canary-secret-bytes.", "CANARYCANARYCANA"
	path := userPath(name)
	number := register(t, c, name)
	ownURI := "otpauth://totp/Canary:canary?digits=8&secret=" + base32.StdEncoding.EncodeToString([]byte(raw))
	e := want(t, c.post(path+"/totp", fields{"uri": ownURI, "name": "Canary phone"}), "201")
	secrets := map[string]string{
		"the number": number[1:], "the name": name, "the raw secret": raw, "the secret": e.text("secret"), "the URI": e.text("uri"), "the app's URI": ownURI,
		"a typed text": typed, "the app's name": "Canary phone",
	}
	for i, code := range recoveryCodes(t, c, name) {
		secrets[fmt.Sprint("recovery code ", i)] = strings.ReplaceAll(code, "-", "")
		secrets[fmt.Sprint("recovery code as shown ", i)] = code
	}
	secrets["a wrong code"] = wrong(totpCode(t, e.text("uri"), 0))
	secrets["the first code"], secrets["the second code"] = totpCode(t, e.text("uri"), 0), totpCode(t, e.text("uri"), 1)
	var answers strings.Builder
	seen := func(r reply) reply {
		answers.WriteString(r.body + fmt.Sprint(r.header) + "\n")
		return r
	}
	useEverywhere := func(codes ...string) {
		for _, code := range codes {
			for _, factor := range []string{"", "totp", "recovery", "message", typed} {
				seen(c.check(fields{"user": name, "factor": factor, "code": code}))
			}
			seen(c.post(path+"/totp/confirm", fields{"code": code}))
			seen(c.post(path+"/totp", fields{"uri": ownURI, "digits": code}))
			seen(c.post(path+"/totp", fields{"uri": strings.Replace(ownURI, "digits=8", "digits=7", 1), "name": code + "\n"}))
			seen(c.do("PATCH", path+"/totp/"+url.PathEscape(code), "application/json", `{"name": "`+code+`!"}`))
			seen(c.do("DELETE", path+"/totp/"+url.PathEscape(code), "", ""))
		}
		seen(c.get(path + "/totp"))
		seen(c.get(path + "/recovery-codes"))
	}
	want(t, seen(c.post(path+"/totp/confirm", fields{"code": secrets["the first code"]})), "200")
	want(t, seen(c.check(totpCheck(name, secrets["the second code"]))), "200")
	want(t, seen(c.check(recoveryCheck(name, secrets["recovery code 0"]))), "200")
	want(t, seen(c.check(totpCheck(name, secrets["the second code"]))), "422 wrong_code")
	want(t, seen(c.check(recoveryCheck(name, secrets["recovery code as shown 0"]))), "422 wrong_code")
	useEverywhere(secrets["a wrong code"], typed, ownURI, raw)
	proxy.set(storageFaults["503 to all writes"].faults())
	for _, body := range []fields{totpCheck(name, secrets["a wrong code"]), recoveryCheck(name, secrets["recovery code 1"])} {
		want(t, seen(c.check(body)), "503 storage_unavailable")
	}
	proxy.set(nil)
	want(t, c.do("DELETE", path+"/totp", "", ""), "204")
	awaitLine(t, h, `"method":"DELETE"`, `"status":204`)
	mustNotLeak(t, "the output", handlerOutput(t, h, 40), secrets)
	delete(secrets, "the app's name") // the list of apps shows the name
	delete(secrets, "the name")       // an approval names the user
	mustNotLeak(t, "an answer", answers.String(), secrets)
}
