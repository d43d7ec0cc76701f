package handler_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/problem"
)

// Attack 21. Neither a secret nor a code reaches the log, on any path. Only the
// answer that makes a secret holds it.
func TestAttack21_NoFactorReachesTheLog(t *testing.T) {
	r := withFactors(t)
	const raw = "canary-secret-bytes." // 20 of them
	const raw32 = "MNQW4YLSPEWXGZLDOJSXILLCPF2GK4ZO"
	const path = "/api/users/alice/totp"
	uri := "otpauth://totp/Canary:canary?secret=" + raw32 + "&digits=8"
	secrets := []string{raw, raw32, strings.ToLower(raw32), uri}
	var answers strings.Builder
	ask := func(method, path, contentType, body string) *response {
		res := r.do(method, path, contentType, body)
		fmt.Fprintln(&answers, res.header, res.body)
		return res
	}
	// The answers to enrollments may hold what they make, so ask is not used.
	app := r.post(path, object("uri", uri, "name", "Phone")).want(201)
	secrets = append(secrets, app.text("uri"))
	made := r.post(path, `{"digits": 8}`).want(201) // replaces it
	secrets = append(secrets, made.text("secret"), made.text("uri"))
	app = r.post(path, object("uri", uri, "name", "Phone")).want(201)
	codes := r.recoveryCodes()
	for _, code := range codes {
		secrets = append(secrets, code, strings.ReplaceAll(code, "-", ""))
	}
	code := r.shows(app.text("uri"))
	typed := wrong(code)
	secrets = append(secrets, code, typed, "CANARYCANARYCANA")

	ask("POST", path+"/confirm", typeJSON, object("code", typed)).problem(422, problem.WrongCode)
	ask("POST", path+"/confirm", typeJSON, object("code", code)).want(200)
	ask("GET", path, "", "").want(200)
	ask("PATCH", path+"/"+app.text("id"), typeJSON, object("name", "x")).want(200)
	ask("GET", "/api/users/alice", "", "").want(200)
	ask("GET", "/api/users/alice/recovery-codes", "", "").want(200)
	for _, factor := range []string{"", "totp", "recovery", "message"} {
		for _, code := range []string{code, typed, "CANARYCANARYCANA", raw32} {
			if res := ask("POST", "/api/otpverify", typeJSON, object("user", "alice", "factor", factor, "code", code)); res.status < 400 {
				t.Fatalf("%s %s: %s", factor, code, res.body)
			}
		}
	}
	r.Advance(25 * time.Hour)
	secrets = append(secrets, r.shows(app.text("uri")))
	ask("POST", "/api/otpverify", typeJSON, object("user", "alice", "code", r.shows(app.text("uri")))).want(200)
	ask("POST", "/api/otpverify", typeJSON, object("user", "alice", "code", codes[0])).want(200)

	// Bad input that holds secrets in the wrong places.
	for _, secret := range []string{uri, raw32, codes[1], typed} {
		for _, body := range []string{
			object("uri", secret), object("uri", uri, "digits", secret), object("uri", secret, "name", secret+"\n", "issuer", secret+"\n"),
			object("digits", secret), object("algorithm", secret, "period", secret), object("code", secret+"!"), object("name", secret+"\n"),
			`{"uri": "` + secret, `{"code": ["` + secret + `"]}`, secret, object("user", secret, "factor", secret, "code", secret),
		} {
			for _, at := range []string{"POST " + path, "POST " + path + "/confirm", "PATCH " + path + "/" + app.text("id"), "POST /api/otpverify"} {
				method, at, _ := strings.Cut(at, " ")
				for _, contentType := range []string{typeJSON, typeForm, secret} {
					if res := r.do(method, at, contentType, body); res.status < 400 {
						t.Fatalf("%s %s took %s: %s", method, at, body, res.body)
					}
				}
			}
		}
		for _, at := range []string{"/api/users/" + url.PathEscape(secret) + "/totp", path + "/" + url.PathEscape(secret), "/api/users/alice/" + url.PathEscape(secret)} {
			for _, method := range []string{"GET", "DELETE", "POST", "PATCH"} {
				if res := r.do(method, at, "", ""); res.status < 400 {
					t.Fatalf("%s %s: %s", method, at, res.body)
				}
			}
		}
	}

	// A provider that quotes and panics, and a store that fails and panics.
	r.answer(func(context.Context, notify.Message) error { return fmt.Errorf("sdk: %s %s", codes[1], alice) })
	ask("POST", "/api/otpverify", typeJSON, object("user", "alice", "code", codes[1])).want(200)
	r.answer(func(context.Context, notify.Message) error { panic(codes[2] + raw) })
	ask("POST", "/api/otpverify", typeJSON, object("user", "alice", "code", codes[2])).problem(500, problem.Internal)
	r.answer(nil)
	r.checkFactor("recovery", codes[2]).problem(422, problem.WrongCode) // the code was used up
	r.loseAnswers()
	ask("POST", path, typeJSON, `{}`).problem(503, problem.StorageUnavailable)
	ask("POST", "/api/otpverify", typeJSON, object("user", "alice", "factor", "totp", "code", typed)).problem(503, problem.StorageUnavailable)
	ask("POST", "/api/users/alice/recovery-codes", "", "").problem(503, problem.StorageUnavailable)
	r.Table.Break(nil)
	r.panicStore(uri + raw + codes[3] + code)
	for _, at := range []string{"POST " + path, "GET " + path, "DELETE " + path, "POST /api/users/alice/recovery-codes", "GET /api/users/alice/recovery-codes"} {
		method, at, _ := strings.Cut(at, " ")
		ask(method, at, "", "").problem(500, problem.Internal)
	}
	ask("POST", path+"/confirm", typeJSON, object("code", typed)).problem(500, problem.Internal)
	ask("PATCH", path+"/"+app.text("id"), typeJSON, object("name", "y")).problem(500, problem.Internal)
	for _, code := range []string{typed, codes[4]} {
		ask("POST", "/api/otpverify", typeJSON, object("user", "alice", "code", code)).problem(500, problem.Internal)
	}

	log := r.log.String()
	wantEqual(t, "panics with a stack in the log", strings.Count(log, `"stack":`), 10)
	wantNoLeak(t, "the log", log, secrets)
	wantNoLeak(t, "an answer", answers.String(), secrets)
}

// Attacks 3 and 19, in one process.
func TestAttack19_OfParallelCodesOfAnAppOneIsApproved(t *testing.T) {
	r := withFactors(t)
	uri := r.enrolled(`{}`).text("uri")
	r.Advance(time.Minute)
	code := r.shows(uri)
	_, got := together(50, func(i int) *response { return r.checkFactor([]string{"totp", ""}[i%2], code) })
	if got[200] != 1 || got[422] != 10 || got[429] != 39 {
		t.Errorf("answers by status: %v, want one 200, 10 422 and 39 429", got)
	}
}
