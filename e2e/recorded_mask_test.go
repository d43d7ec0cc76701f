package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mask replaces values that differ between sessions by placeholders. Equal values get the
// same numbered placeholder, so that the recording shows which values are equal.
type mask struct {
	numbers map[string]map[string]int // by kind and value
}

func newMask() *mask { return &mask{make(map[string]map[string]int)} }

// number returns the number of a value among the values of its kind, from 1, in the order in
// which they appeared.
func (m *mask) number(kind, value string) int {
	if m.numbers[kind] == nil {
		m.numbers[kind] = make(map[string]int)
	}
	n, known := m.numbers[kind][value]
	if !known {
		n = len(m.numbers[kind]) + 1
		m.numbers[kind][value] = n
	}
	return n
}

func (m *mask) numbered(kind, value string) string {
	return fmt.Sprintf("%s#%d", kind, m.number(kind, value))
}

// maskedValues finds the values to mask. The group names are their kinds. An earlier line
// takes precedence over a later one.
var maskedValues = regexp.MustCompile(strings.Join([]string{
	`(?P<logged>"(?:time|address|version)":"[^"]*"|"(?:ms|pause_ms|provider_ms|age_ms)":[0-9.]+)`,
	`"request_id":"(?P<request>[^"]*)"`,
	`"retry_after":(?P<seconds>\d+)`,
	`\bin (?P<soon>\d+ seconds?)\b`, // until the next code of an app
	`"qr_png":"data:image/png;base64,(?P<PNG>[^"]*)"`,
	`"qr_svg":"(?P<SVG>(?:\\.|[^"\\])*)"`,
	`(?:"secret":"|secret=)(?P<SECRET>[A-Z2-7]+)`,
	`(?P<VE>VE[0-9a-f]{32})`,
	`(?P<TA>TA[0-9a-f]{16})`,
	`(?P<RC>[2-9A-HJ-NP-Z]{4}(?:-[2-9A-HJ-NP-Z]{4}){3})`,
	`(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)`,
	`(?P<minutes>\b(?:[89]|10))(?: min\b| Min\b| मिनट)`, // the lifetime of a code, less for a resend
	`%[0-9A-F]{2}`, // so that its digits are no part of a code
	`(?P<digits>\d+)`,
}, "|"))

// text masks a text. codes are the placeholders of one-time codes, by code.
func (m *mask) text(text string, codes map[string]string) string {
	names := maskedValues.SubexpNames()
	var b strings.Builder
	end := 0
	for _, at := range maskedValues.FindAllStringSubmatchIndex(text, -1) {
		for group := 1; group < len(names); group++ {
			from, to := at[2*group], at[2*group+1]
			if from < 0 {
				continue
			}
			b.WriteString(text[end:from] + m.token(names[group], text[from:to], codes))
			end = to
		}
	}
	return b.String() + text[end:]
}

func (m *mask) token(kind, value string, codes map[string]string) string {
	switch kind {
	case "logged":
		name, _, _ := strings.Cut(value, ":")
		return name + ":" + strings.ToUpper(strings.Trim(name, `"`))
	case "request":
		return m.numbered("REQ", value)
	case "seconds":
		return maskSeconds(value)
	case "minutes":
		return "SOME"
	case "soon":
		return "SOME seconds"
	case "at":
		return maskTime(value)
	case "digits":
		if placeholder, ok := codes[value]; ok {
			return placeholder
		}
		return value
	}
	return m.numbered(kind, value)
}

// header masks the value of a header. bodyLength is the length of the answer's body.
func (m *mask) header(name, value string, bodyLength int) string {
	switch name {
	case "Date":
		if _, err := http.ParseTime(value); err == nil {
			return "DATE"
		}
	case "Location":
		return m.text(value, nil)
	case "Etag":
		return m.numbered("ETAG", value)
	case "X-Request-Id":
		return m.numbered("REQ", value)
	case "Retry-After":
		return maskSeconds(value)
	case "Content-Length":
		if value == strconv.Itoa(bodyLength) { // images have no fixed length
			return "of the body"
		}
	}
	return value
}

// maskSeconds masks a number of seconds that decreases during the session.
func maskSeconds(seconds string) string {
	n, err := strconv.Atoi(seconds)
	if err != nil || n <= 0 {
		return seconds
	}
	const step = 300
	return fmt.Sprintf("UPTO%d", (n+step-1)/step*step)
}

// maskTime masks a time in whole seconds and UTC by its distance from now. The distance is
// rounded to five minutes, which is far longer than the session takes.
func maskTime(value string) string {
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return value
	}
	away := time.Until(at)
	if away > 24*time.Hour-10*time.Minute { // a wait of a day is shorter by what the session took
		return "TIME+days"
	}
	return fmt.Sprintf("TIME%+d", int(away.Round(5*time.Minute)/time.Minute))
}

func TestRecordedValuesAreMasked(t *testing.T) {
	now := time.Now().UTC()
	in := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	id := "VE0123456789abcdeffedcba9876543210"
	m := newMask()
	for _, tc := range [][2]string{
		{`{"id":"` + id + `"} 123456 %20123456 1234567`, `{"id":"VE#1"} CODE %20CODE 1234567`},
		{id + " VE0123456789abcdef0000000000123456", "VE#1 VE#2"},
		{`"expires_at":"` + in(10*time.Minute) + `","approved_at":"` + in(-time.Second) + `"`, `"expires_at":"TIME+10","approved_at":"TIME+0"`},
		{`"at":"2026-01-02T03:04:05.6Z"`, `"at":"2026-01-02T03:04:05.6Z"`},
		{`"secret":"ABC234","uri":"x?secret=ABC234&y"`, `"secret":"SECRET#1","uri":"x?secret=SECRET#1&y"`},
		{`"qr_svg":"<svg a=\"b\">","z":1`, `"qr_svg":"SVG#1","z":1`},
		{"Valid for 9 min. Gültig für 10 Min. 9 left for 10 minutes", "Valid for SOME min. Gültig für SOME Min. 9 left for 10 minutes"},
		{`["Y2U9-MRQS-JVN3-2SYN"]`, `["RC#1"]`},
		{`"retry_after":86399 "retry_after":2 `, `"retry_after":UPTO86400 "retry_after":UPTO300 `},
		{`The app shows the next one in 1 second, in 23 seconds.`, `The app shows the next one in SOME seconds, in SOME seconds.`},
		{`{"time":"x","request_id":"a1","ms":1.25,"trips":2}`, `{"time":TIME,"request_id":"REQ#1","ms":MS,"trips":2}`},
	} {
		if got := m.text(tc[0], map[string]string{"123456": "CODE"}); got != tc[1] {
			t.Errorf("%s\nis masked as %s\nwant         %s", tc[0], got, tc[1])
		}
	}
	if got := firstDifference("### a\nb\nc", "### a\nb\nd"); !containsAll(got, []string{"line 3 in ### a", ">> c\n", ">> d\n"}) {
		t.Errorf("the difference is described as %s", got)
	}
	for header, want := range map[string]string{
		"Date: " + now.Format(http.TimeFormat): "DATE", "Date: today": "today", `Etag: "a1"`: "ETAG#1", "X-Request-Id: a1": "REQ#1",
		"Retry-After: 599": "UPTO600", "Content-Length: 7": "of the body", "Content-Length: 8": "8", "Allow: POST": "POST",
		"Location: /api/otpsend/VE" + strings.Repeat("a", 32): "/api/otpsend/VE#3",
	} {
		name, value, _ := strings.Cut(header, ": ")
		if got := m.header(name, value, 7); got != want {
			t.Errorf("%s is masked as %s, want %s", header, got, want)
		}
	}
}
