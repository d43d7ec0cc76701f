package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"twofa/internal/testing/apitest"
)

// example is a call of curl in a document, and what the document says is answered.
type example struct {
	method, path, body string
	header             http.Header
	status             int // 0 if the document does not say
	answerHeader       http.Header
	answer             string // "" if the document does not show it whole
}

// curlExamples returns the calls of the API in a Markdown file.
func curlExamples(t *testing.T, text string) (list []example) {
	t.Helper()
	for _, block := range regexp.MustCompile("(?s)\n```[a-z]*\n(.*?)\n```").FindAllStringSubmatch(text, -1) {
		for _, part := range regexp.MustCompile(`(?m)^(?:\$ )?curl `).Split(block[1], -1)[1:] {
			command, output, _ := strings.Cut(part, "\n")
			e := readCurl(command)
			if strings.HasPrefix(e.path, "/") {
				e.readOutput(t, output)
				list = append(list, e)
			}
		}
	}
	return list
}

// readCurl reads the arguments of curl.
func readCurl(command string) example {
	e := example{method: "GET", header: make(http.Header)}
	explicit := ""
	args := regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s]+`).FindAllString(command, -1)
	for i := 0; i < len(args); i++ {
		argument := func() string {
			i++
			return strings.Trim(args[i], `'`)
		}
		switch args[i] {
		case "-X":
			explicit = argument()
		case "--json":
			e.method, e.body = "POST", argument()
			e.header.Set("Content-Type", "application/json")
		case "-H":
			name, value, _ := strings.Cut(argument(), ": ")
			e.header.Set(name, value)
		case "-u":
			argument()
		default:
			if at := regexp.MustCompile(`/(api/|health|verify/)`).FindStringIndex(args[i]); at != nil {
				e.path = args[i][at[0]:]
			}
		}
	}
	if explicit != "" {
		e.method = explicit
	}
	return e
}

// readOutput reads what curl prints: the answer, behind its headers with -i. The answer
// may end on another line than it begins.
func (e *example) readOutput(t *testing.T, output string) {
	t.Helper()
	// Headers that the document leaves out, and every answer has.
	e.answerHeader = http.Header{"X-Request-Id": {"0123456789abcdef"}, "Content-Type": {"application/json"}}
	if m := regexp.MustCompile(`^HTTP/1.1 (\d+)`).FindStringSubmatch(output); m != nil {
		e.status, _ = strconv.Atoi(m[1])
		for _, h := range regexp.MustCompile(`(?m)^([A-Za-z-]+): (.*)$`).FindAllStringSubmatch(output, -1) {
			e.answerHeader.Set(h[1], h[2])
		}
	} else { // without -i, no header is shown
		e.answerHeader.Set("Etag", `"0123456789abcdef"`)
	}
	begin := regexp.MustCompile(`(?m)^\{`).FindStringIndex(output)
	if begin == nil {
		return
	}
	// One answer, which the next command or text may follow.
	var whole json.RawMessage
	if err := json.NewDecoder(strings.NewReader(output[begin[0]:])).Decode(&whole); err == nil && !regexp.MustCompile(`"\.\.\."|…`).Match(whole) {
		e.answer = string(whole)
	} else if !regexp.MustCompile(`\.\.\.|…`).MatchString(output) {
		t.Errorf("an answer is no JSON: %s", output)
	}
	var problem struct{ Status int }
	if json.Unmarshal([]byte(e.answer), &problem) == nil && problem.Status != 0 {
		e.status = problem.Status
		e.answerHeader.Set("Content-Type", "application/problem+json")
	}
}

// Every example of a call in README and docs/ is as the OpenAPI document describes it.
func TestDocs_ExamplesAreAsTheOpenAPIDocumentSays(t *testing.T) {
	doc, err := apitest.Document()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	requests, answers := 0, 0
	for _, file := range append(files, "README.md", "examples/bank/README.md") {
		for _, e := range curlExamples(t, read(t, file)) {
			route, _ := apitest.Operation(doc, e.method, e.path)
			if route.Operation == nil {
				t.Errorf("%s: there is no %s %s", file, e.method, e.path)
				continue
			}
			requests++
			if e.status == 0 { // an answer that the document shows without its status
				for _, status := range []int{201, 200, 204} {
					if route.Operation.Responses.Status(status) != nil {
						e.status = status
						break
					}
				}
			}
			if e.answerHeader.Get("Location") == "" {
				e.answerHeader.Set("Location", "/")
			}
			x := apitest.Exchange{Method: e.method, Path: e.path, Header: e.header, Body: []byte(e.body), Status: e.status, AnswerHeader: e.answerHeader, Answer: []byte(e.answer)}
			if err := apitest.CheckRequest(x); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if e.answer == "" {
				continue
			}
			answers++
			if err := apitest.Check(x); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		for _, m := range regexp.MustCompile("(?s)\n```json\n(\\{\"type\": \"urn:twofa:.*?)\n```").FindAllStringSubmatch(read(t, file), -1) {
			answers++
			var problem struct{ Status int }
			if err := json.Unmarshal([]byte(m[1]), &problem); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if err := apitest.Check(apitest.Exchange{
				Method: "POST", Path: "/api/otpverify", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"code": "1"}`), Status: problem.Status,
				AnswerHeader: http.Header{"Content-Type": {"application/problem+json"}, "X-Request-Id": {"0123456789abcdef"}}, Answer: []byte(m[1]),
			}); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if requests < 15 || answers < 9 {
		t.Errorf("only %d requests and %d answers were looked at", requests, answers)
	}
}
