package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/fixture"
)

// tutorial makes the calls of the README in their order, against the real service. The values of
// the README that differ each time (ids, codes, results) stand for those of this run.
type tutorial struct {
	*town
	c      *customer
	really map[string]string // from a value in the README to the one of this run
	page   string            // the address of the last page
	key    string            // of the authenticator app
	codes  []string          // recovery codes
}

// documented is one call of curl, and the answer that follows it.
type documented struct {
	method, path, body string
	header             http.Header
	answer             map[string]any
}

var (
	commands  = regexp.MustCompile(`(?m)^curl (.*)\n(\{.*\})$`)
	arguments = regexp.MustCompile(`'[^']*'|\S+`)
)

// readCommand reads one command of the README.
func readCommand(t *testing.T, command, answer string) documented {
	t.Helper()
	d := documented{method: http.MethodGet, header: make(http.Header)}
	args := arguments.FindAllString(command, -1)
	explicit := ""
	for i := 0; i < len(args); i++ {
		next := func() string { i++; return strings.Trim(args[i], "'") }
		switch args[i] {
		case "-u":
			if next() != "bank:$SECRET" {
				t.Errorf("other credentials: %s", command)
			}
		case "-X":
			explicit = next()
		case "-H":
			name, value, _ := strings.Cut(next(), ": ")
			d.header.Set(name, value)
		case "--json":
			d.method, d.body = http.MethodPost, next()
			d.header.Set("Content-Type", "application/json")
		default:
			if d.path = strings.TrimPrefix(args[i], "$TWOFA"); d.path == args[i] {
				t.Errorf("an argument that the test does not know: %s", args[i])
			}
		}
	}
	if explicit != "" {
		d.method = explicit
	}
	if err := json.Unmarshal([]byte(answer), &d.answer); err != nil {
		t.Errorf("the answer of %s: %v", command, err)
	}
	return d
}

func TestReadme_CallsRun(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newTown(t)
	tut := &tutorial{town: w, c: w.customer(), really: map[string]string{"http://127.0.0.1:7080": w.url, "http://127.0.0.1:7071": w.service}}
	all := commands.FindAllStringSubmatch(string(text), -1)
	if n := strings.Count(string(text), "\ncurl "); len(all) != n || n < 16 {
		t.Errorf("%d of %d calls have an answer", len(all), n)
	}
	for _, m := range all {
		d := readCommand(t, m[1], m[2])
		tut.prepare(d)
		tut.compare(m[1], d.answer, tut.call(d))
	}
}

var typed = regexp.MustCompile(`"code":"([^"]*)"`)

// prepare does what the person does before a call: types a code, or ends a page.
func (tut *tutorial) prepare(d documented) {
	tut.TB.Helper()
	if strings.HasPrefix(d.path, "/api/otpsend") || strings.Contains(d.body, `"factor"`) {
		tut.Advance(time.Minute) // until the next message or code
	}
	if m := typed.FindStringSubmatch(d.body); m != nil && m[1] != "000000" {
		switch {
		case strings.Contains(d.body, `"factor":"totp"`):
			tut.really[m[1]] = codeOf(tut.TB, tut.key, tut.Now())
		case strings.Contains(d.body, `"factor":"recovery"`):
			tut.really[m[1]] = tut.codes[0]
		default:
			tut.really[m[1]] = tut.code()
		}
	}
	if m := regexp.MustCompile(`"result":"([^"]*)"`).FindStringSubmatch(d.body); m != nil {
		tut.really[m[1]] = tut.finish().Get("result")
	}
}

// finish ends the last page, and returns with what the browser comes back.
func (tut *tutorial) finish() url.Values {
	tut.TB.Helper()
	if tut.c.get(tut.page); strings.Contains(tut.page, "/verify/check") {
		return tut.c.finishPage().Query()
	}
	tut.c.press("begin")
	tut.key = key.FindStringSubmatch(tut.c.body)[1]
	tut.c.press("app", "code", codeOf(tut.TB, tut.key, tut.Now()), "name", "My phone").press("codes")
	for _, m := range regexp.MustCompile(`<li>([A-Z0-9-]{19})</li>`).FindAllStringSubmatch(tut.c.body, -1) {
		tut.codes = append(tut.codes, m[1])
	}
	tut.c.press("kept", "set", regexp.MustCompile(`name="set" value="([0-9a-f]+)"`).FindStringSubmatch(tut.c.body)[1])
	return tut.c.saves().Query()
}

func (tut *tutorial) replace(text string) string {
	for from, to := range tut.really {
		text = strings.ReplaceAll(text, from, to)
	}
	return text
}

// call makes a call with the values of this run.
func (tut *tutorial) call(d documented) (got map[string]any) {
	tut.TB.Helper()
	req, err := http.NewRequest(d.method, tut.service+tut.replace(d.path), strings.NewReader(tut.replace(d.body)))
	if err != nil {
		tut.TB.Fatal(err)
	}
	req.Header = d.header
	req.SetBasicAuth("bank", "secret")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tut.TB.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		tut.TB.Fatalf("%s %s: %d %v", d.method, d.path, res.StatusCode, err)
	}
	if documented, ok := d.answer["status"].(float64); ok != (res.StatusCode > 299) || ok && documented != float64(res.StatusCode) {
		tut.TB.Errorf("%s %s: status %d", d.method, d.path, res.StatusCode)
	}
	if address, ok := got["page_url"].(string); ok {
		tut.page = address
	}
	return got
}

// The members whose values differ each time: names of things, and times.
var (
	differs = regexp.MustCompile(`^(id|session)$`)
	times   = regexp.MustCompile(`^([a-z_]+_at|resend_after)$`)
)

// compare fails the test unless an answer has the members that the README shows, and their
// values. A value with … is cut there.
func (tut *tutorial) compare(where string, shown, got any) {
	tut.TB.Helper()
	switch shown := shown.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		for name, value := range object {
			text, isText := shown[name].(string)
			if _, ok := shown[name]; !ok {
				tut.TB.Errorf("%s: the README does not show %s: %v", where, name, value)
			} else if isText && differs.MatchString(name) && tut.really[text] == "" {
				tut.really[text] = fmt.Sprint(value)
			}
			if times.MatchString(name) {
				tut.compareTimes(where, shown[name], value)
				continue
			}
			tut.compare(where+" "+name, shown[name], value)
		}
		if len(object) < len(shown) {
			tut.TB.Errorf("%s: the answer has less: %v", where, got)
		}
	case []any:
		list, _ := got.([]any)
		if len(list) != len(shown) {
			tut.TB.Errorf("%s: %v", where, got)
			return
		}
		for i := range shown {
			tut.compare(where, shown[i], list[i])
		}
	case string:
		text, _ := got.(string)
		begin, _, cut := strings.Cut(tut.replace(shown), "…")
		if cut && !strings.HasPrefix(text, begin) || !cut && text != begin {
			tut.TB.Errorf("%s: %q, and the README shows %q", where, text, shown)
		}
	default:
		if shown != got {
			tut.TB.Errorf("%s: %v, and the README shows %v", where, got, shown)
		}
	}
}

func (tut *tutorial) compareTimes(where string, both ...any) {
	tut.TB.Helper()
	for _, at := range both {
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(at)); err != nil {
			tut.TB.Errorf("%s: no time: %v", where, at)
		}
	}
}

// Each picture is there and small, each file of the code is told of, and the number is the one
// of the tests.
func TestReadme_FilesAndPictures(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	pictures, err := filepath.Glob("*.png")
	if err != nil || len(pictures) == 0 || len(pictures) > 8 {
		t.Errorf("%d pictures, %v", len(pictures), err)
	}
	for _, name := range pictures {
		info, err := os.Stat(name)
		if err != nil || info.Size() > 40<<10 || !strings.Contains(string(text), "]("+name+")") {
			t.Errorf("%s: %d bytes, or not shown", name, info.Size())
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("a link leads nowhere: %s", m[1])
		}
	}
	if !strings.Contains(string(text), fixture.Alice) {
		t.Error("another number than the tests'")
	}
}
