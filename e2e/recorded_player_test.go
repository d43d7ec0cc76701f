package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"twofa/internal/channel"
	"twofa/internal/testing/apitest"
	"twofa/internal/testing/twiliotest"
)

// session sends the requests of the recorded session and records what the service does.
type session struct {
	t        *testing.T
	process  *process
	provider *twiliotest.Server
	masks    *mask

	transcript, log strings.Builder

	steps int
	read  int // how many bytes of the process's output have been read
	calls int // how many calls to the provider have been read
	names map[string]*namedAnswer
	codes map[string]string // the one-time code of each verification, by id
}

func newSession(t *testing.T) *session {
	s := &session{
		t: t, masks: newMask(), names: make(map[string]*namedAnswer), codes: make(map[string]string),
		provider: twiliotest.Start(twiliotest.Account{AccountSID: sessionAccount, AuthToken: sessionToken, SMSFrom: sessionSMSFrom}),
	}
	t.Cleanup(s.provider.Close)
	for number, r := range map[string]twiliotest.Reply{
		"+14155550181": twiliotest.Refuse(400, 21211), // no number
		"+14155550182": twiliotest.Refuse(401, 20003), // wrong credentials
		"+14155550183": twiliotest.Refuse(500, 0),
		"+14155550184": twiliotest.Refuse(400, 30450), // fraud
		"+14155550186": twiliotest.Refuse(400, 21610), // opted out
		"+14155550187": twiliotest.Refuse(429, 20429), // busy
	} {
		s.provider.For(number, r)
	}
	s.provider.ForChannel(channel.WhatsApp, "+14155550185", twiliotest.Refuse(400, 63024)) // not on WhatsApp
	return s
}

// namedAnswer is an answer to which later requests refer.
type namedAnswer struct {
	reply
	at time.Time // when the first code of this authenticator app was computed
}

func (s *session) write(format string, args ...any) {
	fmt.Fprintf(&s.transcript, format, args...)
}

// launch starts a process and records what it logs before the first request.
func (s *session) launch(settings map[string]string) {
	s.t.Helper()
	var env []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		env = append(env, name+"="+settings[name])
	}
	s.process, s.read = serve(s.t, env), 0
	s.takeOutput("", nil)
}

// play sends one request and waits until the process has logged it.
func (s *session) play(step step) {
	s.t.Helper()
	s.steps++
	path, shownPath := s.fill(step.path)
	body, shownBody := s.fill(step.body)
	req, err := http.NewRequest(step.method, s.process.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatalf("%s: %v", step.about, err)
	}
	s.write("\n### %d. %s\n%s %s\n", s.steps, step.about, step.method, shownPath)
	for _, header := range step.headers {
		value, shown := s.fill(header)
		name, value, _ := strings.Cut(value, ": ")
		req.Header.Add(name, value)
		s.write("%s\n", shown)
	}
	if step.signed {
		form, _ := url.ParseQuery(body) // a body that is no form is signed as an empty form
		req.Header.Set("X-Twilio-Signature", s.provider.Sign(sessionOrigin+path, form))
		s.write("X-Twilio-Signature: as it has to be\n")
	}
	if body != "" {
		s.write("\n%s\n", strings.ToValidUTF8(shownBody, `\xff`))
	}
	answer := readReply(s.process.http.Transport.RoundTrip(req)) // follows no redirection
	if answer.err != nil {
		s.t.Fatalf("%s: %v", step.about, answer.err)
	}
	if err := apitest.Check(apitest.Exchange{
		Method: step.method, Path: path, Header: req.Header, Body: []byte(body),
		Status: answer.status, AnswerHeader: answer.header, Answer: []byte(answer.body),
	}); err != nil {
		s.t.Errorf("%s: not as the OpenAPI document says: %v", step.about, err)
	}
	if step.name != "" {
		s.names[step.name] = &namedAnswer{reply: answer}
	}
	if step.path != "/" || answer.status != http.StatusOK { // the host's poll is not logged
		s.process.stdout.await(s.t, s.process.exited, `"request_id":"`+answer.header.Get("X-Request-Id")+`"`)
	}
	id := answer.text("id")
	if id == "" { // the answer to a delivery report has no body
		id = verificationID.FindString(path)
	}
	s.writeAnswer(answer, s.takeOutput(id, answer.fields))
}

func (s *session) writeAnswer(answer reply, codes map[string]string) {
	s.write("\n%d %s\n", answer.status, http.StatusText(answer.status))
	for _, name := range slices.Sorted(maps.Keys(answer.header)) {
		for _, value := range answer.header[name] {
			s.write("%s: %s\n", name, s.masks.header(name, value, len(answer.body)))
		}
	}
	if answer.body != "" {
		s.write("\n%s", s.masks.text(answer.body, codes))
		if !strings.HasSuffix(answer.body, "\n") {
			s.write("\n(no line end)\n")
		}
	}
}

// takeOutput records what the process has printed, logged and sent to its provider since the
// last call. id is the verification of the answer, "" if there is none. It returns the
// placeholder of the verification's code, by the code.
func (s *session) takeOutput(id string, answer fields) map[string]string {
	output := s.process.stdout.String()
	fresh := output[s.read : strings.LastIndexByte(output, '\n')+1]
	s.read += len(fresh)
	var printed []string
	for line := range strings.Lines(fresh) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "{") {
			s.log.WriteString(s.masks.text(line, nil) + "\n")
		} else {
			printed = append(printed, line)
		}
	}
	sent := s.takeCalls()
	offer, _ := answer["inbound"].(map[string]any)
	inbound, _ := offer["text"].(string) // the text that the person is to send
	codes := s.findCode(id, strings.Join(slices.Concat(printed, sent, []string{inbound}), "\n"))
	for _, line := range printed {
		s.write("printed: %s\n", s.masks.text(line, codes))
	}
	for _, line := range sent {
		s.write("to the provider: %s\n", s.masks.text(line, codes))
	}
	return codes
}

// takeCalls returns the provider's calls since the last call, one line for each parameter.
func (s *session) takeCalls() (lines []string) {
	calls := s.provider.Calls()
	for _, call := range calls[s.calls:] {
		lines = append(lines, call.Method+" "+call.Path)
		for _, name := range slices.Sorted(maps.Keys(call.Form)) {
			value := strings.Join(call.Form[name], " | ")
			if name == "ValidityPeriod" {
				value = maskSeconds(value)
			}
			lines = append(lines, "  "+name+": "+strings.ReplaceAll(value, "\n", "\\n"))
		}
	}
	s.calls = len(calls)
	return lines
}

var (
	verificationID = regexp.MustCompile(`VE[0-9a-f]{32}`)
	sixDigitCode   = regexp.MustCompile(`(?:^|[^0-9+])([0-9]{6})(?:[^0-9]|$)`)
)

// findCode finds the code of a verification in what was sent: the first number of six digits,
// which is the same in all messages of the verification.
func (s *session) findCode(id, sent string) map[string]string {
	found := sixDigitCode.FindStringSubmatch(sent)
	if !verificationID.MatchString(id) || found == nil {
		return nil
	}
	code := found[1]
	if known := s.codes[id]; known != "" && known != code {
		s.t.Errorf("in step %d the verification has another code than before", s.steps)
	}
	s.codes[id] = code
	return map[string]string{code: s.codeName(id)}
}

// codeName is the placeholder of the code of a verification. It has the verification's number.
func (s *session) codeName(id string) string {
	masked := s.masks.text(id, nil)
	return "CODE" + masked[strings.IndexByte(masked, '#'):]
}

// stepVariable matches a variable: the name of an answer, and a part of the answer.
var stepVariable = regexp.MustCompile(`<([a-z0-9]+)\.([^<>]+)>`)

// fill replaces all variables by their values, and by their placeholders in the recording.
func (s *session) fill(text string) (filled, shown string) {
	s.t.Helper()
	replace := func(which int) string {
		return stepVariable.ReplaceAllStringFunc(text, func(variable string) string {
			parts := stepVariable.FindStringSubmatch(variable)
			value, masked := s.value(parts[1], parts[2])
			return []string{value, masked}[which]
		})
	}
	return replace(0), replace(1)
}

// value returns the value of a variable, and its placeholder in the recording:
//
//	<pad.1000>        a text of that length
//	<first.id>        a field of the answer with the name first
//	<first.etag>      its entity tag
//	<first.code>      its one-time code; .wrong is another code, .typed has a space
//	<app.totp+1>      the code of an authenticator app in the next step; .never is always wrong
//	<set.codes.0>     the first recovery code of a set; .typed.0 is the code as people type it
func (s *session) value(name, part string) (value, shown string) {
	s.t.Helper()
	if name == "pad" {
		return strings.Repeat("x", s.atoi(part)), "<pad." + part + ">"
	}
	answer := s.named(name)
	id := answer.text("id")
	code := s.codes[id]
	list, number, _ := strings.Cut(part, ".")
	steps, isApp := strings.CutPrefix(part, "totp")
	switch {
	case part == "etag":
		value = answer.header.Get("ETag")
		return value, s.masks.header("Etag", value, 0)
	case code != "" && part == "code":
		return code, s.codeName(id)
	case code != "" && part == "wrong":
		return wrong(code), "not " + s.codeName(id)
	case code != "" && part == "typed":
		return code[:3] + " " + code[3:], s.codeName(id) + " with a space"
	case isApp:
		return answer.totpCode(s.t, s.atoi(steps)), "<" + name + "." + part + ">"
	case part == "never":
		return answer.wrongTOTPCode(s.t), "<" + name + ".never>"
	case number != "":
		value, shown = s.recoveryCode(answer, number)
		if list == "typed" {
			return strings.ToLower(strings.ReplaceAll(value, "-", " ")), shown + " as typed"
		}
		return value, shown
	}
	if value = answer.text(part); value == "" {
		s.t.Fatalf("step %d: the answer %s has no %s", s.steps, name, part)
	}
	return value, s.masks.text(value, nil)
}

func (s *session) atoi(text string) int {
	s.t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatalf("step %d: %v", s.steps, err)
	}
	return n
}

// named returns the answer with that name.
func (s *session) named(name string) *namedAnswer {
	s.t.Helper()
	answer := s.names[name]
	if answer == nil {
		s.t.Fatalf("step %d: there is no answer %s", s.steps, name)
	}
	return answer
}

func (s *session) recoveryCode(answer *namedAnswer, number string) (value, shown string) {
	s.t.Helper()
	codes, _ := answer.fields["codes"].([]any)
	n := s.atoi(number)
	if n >= len(codes) {
		s.t.Fatalf("step %d: there is no recovery code %d", s.steps, n)
	}
	value, _ = codes[n].(string)
	return value, s.masks.text(value, nil)
}

// totpCode returns the code of an enrolled app, some steps after the step of its first code.
// The real time does not matter if the session takes less than a step from there on.
func (a *namedAnswer) totpCode(t *testing.T, steps int) string {
	t.Helper()
	if a.at.IsZero() {
		a.at = time.Now()
	}
	period := a.number("period")
	algorithm := map[string]pquerna.Algorithm{
		"SHA1": pquerna.AlgorithmSHA1, "SHA256": pquerna.AlgorithmSHA256, "SHA512": pquerna.AlgorithmSHA512,
	}[a.text("algorithm")]
	at := a.at.Add(time.Duration(steps*period) * time.Second)
	code, err := totp.GenerateCodeCustom(a.text("secret"), at, totp.ValidateOpts{
		Period: uint(period), Digits: pquerna.Digits(a.number("digits")), Algorithm: algorithm,
	})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// wrongTOTPCode returns a code that the app does not show at any time of the session.
func (a *namedAnswer) wrongTOTPCode(t *testing.T) string {
	t.Helper()
	right := make(map[string]bool)
	for steps := -10; steps <= 20; steps++ {
		right[a.totpCode(t, steps)] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%0*d", a.number("digits"), n); !right[code] {
			return code
		}
	}
}
