package handler_test

import (
	"encoding/base64"
	"encoding/binary"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// Fields that only advise refuse no code: what can be read of them counts, and the log
// names the fields of which a part was left out.
func TestAdvisoryFieldsRefuseNoCode(t *testing.T) {
	t.Parallel()
	r := newRig(t).noPause()
	r.put("/api/users/alice", object("phone", alice, "locale", "de")).want(201)
	for _, tc := range []struct{ locale, want, ip, unread string }{ // want: the message's locale; "de" is the user's
		{"en_US", "en-US", "203.0.113.9", ""}, {"en-us", "en-US", "203.0.113.9:5678", ""}, {"EN", "en", "[2001:db8::9]:443", ""},
		{"zh-Hant-HK-x-private", "zh-Hant-HK-x-private", "::ffff:203.0.113.9", ""}, {"de_DE.UTF-8", "de-DE", "198.51.100.1, 203.0.113.9", ""},
		{"pt_BR@latin", "pt-BR", `for="[2001:db8::9]:443"`, ""}, {"fr-CH, fr;q=0.9", "fr-CH", "fe80::1%eth0", ""}, {"C", "de", "", ""}, {"POSIX", "de", " 203.0.113.9 ", ""},
		{"zh_TW_#Hant", "zh-TW", "unknown", "locale,client_ip"}, {"de-CH-1996-u-co-phonebk-x-verylong-more-andmore", "de-CH-1996-u-co-phonebk-x-verylong", "_hidden", "locale,client_ip"},
		{"garbage", "de", "203.0.113", "locale,client_ip"}, {"xx-YY", "de", "", "locale"}, {"\u202e\n", "de", "203.0.113.9\nx", "locale,client_ip"}, {"<script>", "de", "null", "locale,client_ip"},
		{"?", "de", "?", "locale,client_ip"}, {strings.Repeat("en-", 1000), "en-EN-EN-EN-EN-EN-EN-EN-EN-EN-EN-EN"[:35], strings.Repeat("1", 1000), "locale,client_ip"}, {"", "de", "", ""},
	} {
		r.post("/api/otpsend", object("user", "alice", "locale", tc.locale, "client_ip", tc.ip)).want(201)
		if got := r.sender.Last().Locale; got != tc.want {
			t.Errorf("locale %q: the message has %q, want %q", tc.locale, got, tc.want)
		}
		unread, _ := r.lastLine()["unread"].(string)
		if unread != tc.unread {
			t.Errorf("locale %q, client_ip %q: the log names %q, want %q", tc.locale, tc.ip, unread, tc.unread)
		}
		r.Advance(25 * time.Hour) // no limit of the address is reached
	}
	// The form has the same rule.
	r.postForm("/api/otpsend", "user=alice&locale=en_US&client_ip=203.0.113.9:80").want(201)
	wantEqual(t, "locale", r.sender.Last().Locale, "en-US")
}

// Two spellings of an advisory field are one request, so a repetition gets the answer.
func TestSpellingsOfAdvisoryFieldsAreOneRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ask := func(locale, ip string) *response {
		return r.do("POST", "/api/otpsend", typeJSON, object("to", alice, "locale", locale, "client_ip", ip), "Idempotency-Key", "k")
	}
	first := ask("en_US", "203.0.113.9:80").want(201)
	for _, c := range [][2]string{{"en-US", "203.0.113.9"}, {"EN-us", "[::ffff:203.0.113.9]:1"}, {"en_US.UTF-8", "10.0.0.1, 203.0.113.9"}, {"en-US,en;q=0.5", "for=203.0.113.9"}, {" en_us ", " 203.0.113.9"}} {
		if again := ask(c[0], c[1]).want(201); again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%q: %s", c, again.body)
		}
	}
	ask("en-GB", "203.0.113.9").problem(409, problem.IdempotencyConflict)
	wantEqual(t, "messages", r.Sent(), 1)
}

// A profile's locale is stored in one form. It is no advice, so a text without a language
// is a fault.
func TestALocaleOfAUserHasOneForm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tag := ""
	for _, text := range []string{"pt-BR", "pt_BR", "PT-br", "pt_BR.UTF-8", " pt-BR\n", "\ufeffpt-BR"} {
		res := r.put("/api/users/alice", object("phone", alice, "locale", text))
		wantEqual(t, text, res.text("locale"), "pt-BR")
		if tag == "" {
			tag = res.header.Get("ETag")
		}
		wantEqual(t, text+": ETag", res.header.Get("ETag"), tag)
	}
	for _, text := range []string{"C", "garbage", "?", "_BR", "e", " ", "english", "\u202e"} {
		r.put("/api/users/alice", object("phone", alice, "locale", text)).problem(400, problem.InvalidRequest).wantFields("locale")
	}
}

// Bodies that other programs write are read: their spellings of a content type, and a byte
// order mark.
func TestBodiesOfOtherProgramsAreRead(t *testing.T) {
	t.Parallel()
	r := newRig(t).noPause()
	const json, form = `{"to": "` + alice + `"}`, "to=%2B14155550123"
	for _, tc := range []struct{ contentType, body string }{
		{"application/json; charset=utf-8", json}, {"application/json; charset=utf8", json}, {`application/json; charset="UTF-8"`, json}, {"application/json;charset=us-ascii", json},
		{"application/json; charset=utf_8", json}, {"application/json;charset=UTF-8;", json}, {"Application/JSON ; Charset=UTF8", json}, {"application/json; charset='utf-8'", json}, {"application/json; charset=utf-8-sig", json},
		{"application/json; odata=verbose", json}, {"text/json", json}, {"application/vnd.api+json", json}, {"application/problem+json; charset=utf8", json}, {"application/merge-patch+json", json},
		{typeJSON, "\ufeff" + json}, {"application/json; charset=utf-8", "\ufeff" + json}, {typeJSON, "\ufeff\r\n" + json}, {typeJSON, "\ufeff\ufeff" + json},
		{typeForm + "; charset=utf8", form}, {typeForm + ";charset=UTF-8;", form}, {typeForm + "; charset=us-ascii", form}, {typeForm, "\ufeff" + form}, {typeForm, "%EF%BB%BF" + form}, {typeForm, "%ef%bb%bf" + form},
	} {
		if res := r.do("POST", "/api/otpsend", tc.contentType, tc.body); res.status != 201 {
			t.Errorf("%s: %q: %d %s", tc.contentType, tc.body, res.status, res.body)
		}
		r.Advance(25 * time.Hour)
	}
	if res := r.do("POST", "/api/otpsend", typeJSON, json, "Content-Encoding", "identity"); res.status != 201 {
		t.Errorf("identity: %d %s", res.status, res.body)
	}
}

// Bodies in another encoding are refused, and named for what they are.
func TestBodiesInOtherEncodingsAreNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const json, form = `{"to": "` + alice + `"}`, "to=%2B14155550123"
	le, be := binary.LittleEndian, binary.BigEndian
	for _, tc := range []struct {
		contentType, body string
		status            int
		says              string
	}{
		{"application/json; charset=iso-8859-1", json, 415, "names the charset iso-8859-1. Send the body in UTF-8."}, {"application/json; charset=windows-1252", json, 415, "names the charset windows-1252."},
		{"application/json; charset=UTF-16", json, 415, "names the charset utf-16."}, {typeForm + "; charset=Shift_JIS", form, 415, "names the charset shift_jis."}, {typeForm + `; charset="<b>"`, form, 415, "names an unknown charset."},
		{typeJSON, fixture.UTF16(le, json), 400, "The body is in UTF-16. Send it in UTF-8."}, {typeJSON, fixture.UTF16(be, json), 400, "in UTF-16."}, {typeJSON, fixture.UTF16(le, "\ufeff"+json), 400, "in UTF-16."}, {typeJSON, fixture.UTF16(be, "\ufeff"+json), 400, "in UTF-16."},
		{"application/json; charset=utf-8", fixture.UTF16(le, "{}"), 400, "in UTF-16."}, {typeForm, fixture.UTF16(le, form), 400, "in UTF-16."}, {typeForm, fixture.UTF16(be, "\ufeff"+form), 400, "in UTF-16."},
		{typeJSON, "\xff\xfe\x00\x00{\x00\x00\x00}\x00\x00\x00", 400, "in UTF-32."}, {typeJSON, "\x00\x00\x00{\x00\x00\x00}", 400, "in UTF-32."}, {typeForm, "\x00\x00\xfe\xff\x00\x00\x00t", 400, "in UTF-32."},
	} {
		kind := problem.InvalidRequest
		if tc.status == 415 {
			kind = problem.UnsupportedMediaType
		}
		for _, path := range []string{"/api/otpsend", "/api/otpverify"} {
			if res := r.do("POST", path, tc.contentType, tc.body).problem(tc.status, kind); !strings.Contains(res.body, tc.says) {
				t.Errorf("%s: %q: %s does not say %q", tc.contentType, tc.body, res.body, tc.says)
			}
		}
	}
	wantEqual(t, "rows", len(r.rows()), 0)
}

// The answer to a body that is not decoded says what is: by Accept, and by the method's
// own header.
func TestARefusedMediaTypeIsAnsweredWithTheTypesThatAreRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const types = "application/json, application/x-www-form-urlencoded"
	want := func(res *response, headers ...string) {
		t.Helper()
		res.problem(415, problem.UnsupportedMediaType)
		for i, name := range []string{"Accept", "Accept-Post", "Accept-Patch", "Accept-Encoding"} {
			wantEqual(t, name, res.header.Get(name), headers[i])
		}
	}
	want(r.do("POST", "/api/otpsend", "text/plain", "{}"), types, types, "", "")
	want(r.do("POST", "/api/otpverify", "application/xml", "<a/>"), types, types, "", "")
	want(r.do("POST", "/api/users/alice/totp", "", "{}"), types, types, "", "")
	want(r.do("PUT", "/api/users/alice", "text/yaml", "{}"), types, "", "", "")
	want(r.do("PATCH", "/api/users/alice/totp/x", "application/xml", "{}"), types, "", types, "")
	want(r.do("POST", "/api/otpsend", "application/json; charset=latin1", "{}"), types, types, "", "")
	for _, coding := range []string{"gzip", "br", "deflate", "GZIP", "x-gzip", "zstd", "identity, gzip", "gzip,identity", "unknown"} {
		res := r.do("POST", "/api/otpverify", typeJSON, `{"code": "123456", "to": "`+alice+`"}`, "Content-Encoding", coding)
		want(res, "", "", "", "identity")
		if !strings.Contains(res.body, "Content-Encoding") {
			t.Errorf("%s: %s", coding, res.body)
		}
	}
	two := httptest.NewRequest("POST", "/api/otpsend", strings.NewReader("{}"))
	two.Header["Content-Type"], two.Header["Content-Encoding"] = []string{typeJSON}, []string{"identity", "gzip"}
	want(r.serve(two), "", "", "", "identity")
	for _, coding := range []string{"identity", "Identity", "identity, identity", ""} {
		r.do("POST", "/api/otpsend", typeJSON, "{}", "Content-Encoding", coding).problem(400, problem.InvalidRequest)
	}
	for _, name := range []string{"Accept", "Accept-Post", "Accept-Encoding"} {
		wantEqual(t, name+" of another answer", r.post("/api/otpsend", "{").header.Get(name), "")
	}
}

// What is new has a path, which answers.
func TestWhatIsNewHasALocation(t *testing.T) {
	t.Parallel()
	r := newRig(t).noPause()
	started := r.do("POST", "/api/otpsend", typeJSON, object("to", bob), "Idempotency-Key", "k").want(201)
	wantEqual(t, "start", started.header.Get("Location"), "/api/otpsend/"+started.text("id"))
	wantEqual(t, "by its location", r.get(started.header.Get("Location")).want(200).text("id"), started.text("id"))
	again := r.do("POST", "/api/otpsend", typeJSON, object("to", bob), "Idempotency-Key", "k").want(201)
	wantEqual(t, "replayed", again.header.Get("Location"), started.header.Get("Location"))
	wantEqual(t, "resend", r.do("POST", "/api/otpsend/"+started.text("id"), "", "").want(200).header.Get("Location"), "")

	for _, name := range []string{"alice", "Zoë K.", "a%b", "~x", "a?b#c"} {
		own := "/api/users/~" + base64.RawURLEncoding.EncodeToString([]byte(name))
		made := r.put(own, object("phone", alice)).want(201)
		wantEqual(t, name, made.header.Get("Location"), own)
		wantEqual(t, name+": changed", r.put(own, object("phone", bob)).want(200).header.Get("Location"), "")
		wantEqual(t, name+": by its location", r.get(own).want(200).text("name"), name)
		app := r.do("POST", own+"/totp", "", "").want(201)
		wantEqual(t, name+": app", app.header.Get("Location"), own+"/totp/"+app.text("id"))
		wantNothing(t, r.delete(app.header.Get("Location")))
		codes := r.do("POST", own+"/recovery-codes", "", "").want(201)
		wantEqual(t, name+": recovery codes", codes.header.Get("Location"), own+"/recovery-codes")
		r.get(codes.header.Get("Location")).want(200)
	}
	escaped := r.put("/api/users/J%C3%BCrgen", object("phone", alice)).want(201)
	wantEqual(t, "percent-encoded", escaped.header.Get("Location"), "/api/users/~SsO8cmdlbg")
	for _, refused := range []*response{
		r.post("/api/otpsend", "{}"), r.put("/api/users/new", "{}"), r.do("POST", "/api/users/nobody/totp", "", ""), r.do("POST", "/api/users/nobody/recovery-codes", "", ""),
	} {
		wantEqual(t, refused.body, refused.header.Get("Location"), "")
	}
}

// A client that has the user's state gets no body (RFC 9110, 13.1.2 and 15.4.5).
func TestAConditionalReadOfAUser(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tag := r.put("/api/users/alice", object("phone", alice)).want(201).header.Get("ETag")
	ask := func(method string, header ...string) *response {
		return r.do(method, "/api/users/alice", "", "", header...)
	}
	for _, method := range []string{"GET", "HEAD"} {
		for _, value := range []string{tag, "W/" + tag, `"other", ` + tag, tag + `,"other"`, "*", " " + tag + " ", `W/"x",W/` + tag} {
			res := ask(method, "If-None-Match", value)
			if res.status != 304 || res.body != "" || res.header.Get("ETag") != tag || res.header.Get("Content-Type") != "" || res.header.Get("Content-Length") != "" || res.header.Get("X-Request-Id") == "" {
				t.Errorf("%s If-None-Match %s: %d %q %v", method, value, res.status, res.body, res.header)
			}
		}
		for _, value := range []string{`"other"`, `"` + strings.ToUpper(strings.Trim(tag, `"`)) + `x"`, strings.Trim(tag, `"`), "garbage", `"`, "", "*, *", `w/` + tag} {
			if res := ask(method, "If-None-Match", value); res.status != 200 || res.header.Get("ETag") != tag {
				t.Errorf("%s If-None-Match %s: %d", method, value, res.status)
			}
		}
		wantEqual(t, "If-Match, the state", ask(method, "If-Match", tag).status, 200)
		wantEqual(t, "If-Match *", ask(method, "If-Match", "*").status, 200)
		wantEqual(t, "If-Match, another state", ask(method, "If-Match", `"other"`, "If-None-Match", tag).status, 412)
		wantEqual(t, "If-Match, a weak tag", ask(method, "If-Match", "W/"+tag).status, 412)
	}
	r.do("GET", "/api/users/nobody", "", "", "If-None-Match", "*").problem(404, problem.NotFound)
	r.put("/api/users/alice", object("phone", bob)).want(200)
	if res := ask("GET", "If-None-Match", tag).want(200); res.header.Get("ETag") == tag {
		t.Error("a changed user has the old tag")
	}
}
