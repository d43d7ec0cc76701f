package handler_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

// timed gives each line the time on a test's clock.
type timed struct {
	slog.Handler
	now func() time.Time
}

func (h timed) Handle(ctx context.Context, r slog.Record) error {
	r.Time = h.now()
	return h.Handler.Handle(ctx, r)
}

// report runs docs/report.mjs over a log, and returns the words of its lines.
func report(t *testing.T, log string, args ...string) (rows [][]string) {
	t.Helper()
	const script = "../docs/report.mjs"
	if _, err := os.Stat(script); err != nil { // also tells go test on what its cached result depends
		t.Fatal(err)
	}
	node := exec.Command("node", append([]string{script}, args...)...)
	node.Stdin = strings.NewReader(log)
	out, err := node.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

// group is where a test counts what the report says of a client, country and channel.
type group struct {
	codes, verifications int
	ages                 []time.Duration // of those that were approved
}

// traffic makes requests, and counts them as the report has to.
type traffic struct {
	*rig
	random *rand.Rand
	asked  int
	sent   map[[3]string]*group
	faults map[[3]string]int // by client, kind and field
	keys   int
}

func (tr *traffic) group(client, country, channel string) []*group {
	var both []*group
	for _, key := range [][3]string{{client, country, channel}, {client, "*", "*"}} {
		if tr.sent[key] == nil {
			tr.sent[key] = new(group)
		}
		both = append(both, tr.sent[key])
	}
	return both
}

// ask sends a request, and counts an error of that kind and field, "" for a success.
func (tr *traffic) ask(client, method, path, body string, kind problem.Kind, field string, header ...string) *response {
	tr.TB.Helper()
	tr.asked++
	res := tr.askAs(client, method, path, body, header...)
	if kind == "" {
		return res
	}
	if res.text("type") != "urn:twofa:"+string(kind) {
		tr.TB.Fatalf("%s %s: %s, want %s", path, body, res.body, kind)
	}
	tr.faults[[3]string{cmp.Or(client, "-"), string(kind), cmp.Or(field, "-")}]++
	return res
}

// pass lets up to that many seconds pass.
func (tr *traffic) pass(seconds int) {
	tr.Advance(time.Duration(1000+tr.random.IntN(1000*seconds)) * time.Millisecond)
}

// verification is one person's way from the start to the approval, or to where it ends.
// settled: it is old enough to count when the log ends.
func (tr *traffic) verification(n int, settled bool) {
	client := []string{"bank-web", "shop", ""}[tr.random.IntN(3)]
	named, country, to := cmp.Or(client, "-"), "US", fmt.Sprintf("+1415555%04d", 1000+n)
	by := []channel.Channel{channel.WhatsApp, channel.SMS, channel.Email}[tr.random.IntN(3)]
	if n%2 == 0 {
		by = channel.WhatsApp
	}
	if tr.random.IntN(2) == 0 {
		country, to = "IN", fmt.Sprintf("+91987654%04d", 1000+n)
	}
	channels, falls := `"`+string(by)+`"`, ""
	switch {
	case by == channel.Email:
		country, to = "-", fmt.Sprintf("p%d@example.com", n)
	case n%2 == 0:
		channels += `, "sms"`
		falls = []string{"at once", "later"}[n/2%2]
	}
	if falls == "at once" {
		tr.sender.Answer(unreachable)
		by = channel.SMS
	}
	count := func() {
		for _, g := range tr.group(named, country, string(by)) {
			g.codes++
		}
	}
	tr.keys++
	key := fmt.Sprint(tr.keys)
	body := `{"to": "` + to + `", "channels": [` + channels + `]}`
	begun := tr.Now()
	id := tr.ask(client, "POST", "/api/otpsend", body, "", "", "Idempotency-Key", key).want(201).text("id")
	count()
	if tr.random.IntN(3) == 0 {
		tr.ask(client, "POST", "/api/otpsend", body, "", "", "Idempotency-Key", key).want(201) // sends nothing
	}
	tr.pass(20)
	if falls == "later" {
		tr.asked++
		tr.provider.report = notify.Report{Verification: otp.ID(id), Attempt: 1, Status: otp.Failed, Failure: unreachable}
		tr.postForm("/hooks/twilio/status", "x=1", "Signed", "yes", "X-Forwarded-For", "203.0.113.7")
		by = channel.SMS
		count()
	}
	if tr.random.IntN(3) == 0 {
		tr.pass(60)
		tr.Advance(31 * time.Second)
		tr.ask(client, "POST", "/api/otpsend/"+id, `{}`, "", "").want(200)
		count()
	}
	code := tr.Sender(by).Last().Code
	for range tr.random.IntN(3) {
		tr.ask(client, "POST", "/api/otpverify", object("id", id, "code", wrong(code)), problem.WrongCode, "")
		tr.pass(9)
	}
	ends := tr.random.IntN(4)
	if settled {
		for _, g := range tr.group(named, country, string(by)) {
			g.verifications++
			if ends > 1 {
				g.ages = append(g.ages, tr.Now().Sub(begun))
			}
		}
	}
	switch ends {
	case 0: // the person gives up
	case 1:
		tr.ask(client, "DELETE", "/api/otpsend/"+id, "", "", "").want(200)
		tr.ask(client, "POST", "/api/otpverify", object("id", id, "code", code), problem.Canceled, "")
	default:
		tr.ask(client, "POST", "/api/otpverify", object("id", id, "code", code), "", "").want(200)
		tr.ask(client, "POST", "/api/otpverify", object("id", id, "code", code), problem.AlreadyUsed, "")
	}
}

// mistake is a request that sends nothing.
func (tr *traffic) mistake() {
	client := []string{"bank-web", "shop", ""}[tr.random.IntN(3)]
	switch tr.random.IntN(5) {
	case 0:
		tr.ask(client, "POST", "/api/otpsend", object("to", "+1"), problem.InvalidRequest, "to")
	case 1:
		tr.ask(client, "POST", "/api/otpsend", object("phone_number", alice), problem.InvalidRequest, "?")
	case 2:
		tr.ask(client, "POST", "/api/otpsend", object("to", "+442071838750"), problem.DestinationRefused, "")
	case 3:
		tr.ask(client, "POST", "/api/otpsend", object("to", "1", "channel", "pigeon"), problem.InvalidRequest, "to")
		tr.faults[[3]string{cmp.Or(client, "-"), string(problem.InvalidRequest), "channel"}]++
	default:
		tr.ask(client, "GET", "/api/otpsend/VE0123456789abcdef0123456789abcdef", "", problem.NotFound, "")
	}
}

// nearest is the smallest age that at least that share does not exceed, as the report
// prints it.
func nearest(ages []time.Duration, share float64) string {
	if len(ages) == 0 {
		return "-"
	}
	slices.Sort(ages)
	return fmt.Sprintf("%.1fs", ages[int(math.Ceil(share*float64(len(ages))))-1].Seconds())
}

// wanted is what the report has to say.
func (tr *traffic) wanted() (rows [][]string) {
	rows = append(rows, []string{"client", "country", "channel", "codes", "verifications", "approved", "median", "p95"})
	for key, g := range tr.sent {
		share := "-"
		if g.verifications > 0 {
			share = fmt.Sprintf("%.0f%%", math.Floor(0.5+100*float64(len(g.ages))/float64(g.verifications)))
		}
		rows = append(rows, append(key[:], fmt.Sprint(g.codes), fmt.Sprint(g.verifications), share, nearest(g.ages, 0.5), nearest(g.ages, 0.95)))
	}
	rows = append(rows, []string{}, []string{"client", "error", "field", "count"})
	for key, n := range tr.faults {
		rows = append(rows, append(key[:], fmt.Sprint(n)))
	}
	return rows
}

// The log of 200 mixed requests alone tells, by client, what was sent and approved, how
// fast, and what went wrong: exactly what the test has counted itself.
func TestReport_AnswersFromTheLogOfMixedRequests(t *testing.T) {
	t.Parallel()
	tr := &traffic{random: rand.New(rand.NewPCG(13, 7)), sent: make(map[[3]string]*group), faults: make(map[[3]string]int)}
	tr.rig = newRig(t, func(p *app.Parts) { p.Log = slog.New(timed{p.Log.Handler(), func() time.Time { return tr.Now() }}) })
	for n := 0; tr.asked < 180; n++ {
		tr.verification(n, true)
		tr.mistake()
		tr.pass(30)
	}
	tr.Advance(15 * time.Minute)
	tr.post("/api/otpsend", object("to", alice, "channel", "inbound")).want(201) // sends nothing
	for n := 1000; tr.asked < 200; n++ {
		tr.verification(n, false)
	}
	if n := len(tr.lines()); n < 200 {
		t.Fatalf("only %d lines", n)
	}

	log := "2026-03-01 a line of something else\n{\"msg\": 1}\n{not JSON\n" + strings.ReplaceAll(tr.log.String(), "{\"time\"", "host: {\"time\"")
	got, want := report(t, log), tr.wanted()
	compare := func(a, b []string) int { return slices.Compare(a, b) }
	for _, rows := range [][][]string{got, want} {
		slices.SortFunc(rows, compare)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the report says\n%v\nwant\n%v", table(got), table(want))
	}
}

func table(rows [][]string) string {
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(strings.Join(row, " ") + "\n")
	}
	return b.String()
}

func TestReport_OfAnEmptyLogHasNoRows(t *testing.T) {
	t.Parallel()
	if got := report(t, "nothing\n"); len(got) != 3 {
		t.Errorf("the report is %q", got)
	}
}

// The provider's report that causes a fallback names no client.
func TestReport_ACodeBelongsToTheClientOfItsVerification(t *testing.T) {
	t.Parallel()
	const log = `{"time":"2026-03-01T12:00:00Z","msg":"request","verification":"VE1","client":"shop","country":"US","channel":"whatsapp","sent":true,"outcome":"ok"}
{"time":"2026-03-01T12:00:09Z","msg":"request","verification":"VE1","country":"US","channel":"sms","sent":true,"outcome":"ok"}
`
	for _, row := range report(t, log)[1:4] {
		wantEqual(t, "client", row[0], "shop")
	}
}

// A verification counts only if it had time to be approved.
func TestReport_SettledIsTheTimeThatAVerificationHas(t *testing.T) {
	t.Parallel()
	const log = `{"time":"2026-03-01T12:00:00Z","msg":"request","verification":"VE1","country":"US","channel":"sms","sent":true,"outcome":"ok"}
{"time":"2026-03-01T12:15:00Z","msg":"stopping"}
`
	for minutes, want := range map[string]string{"15": "1", "15.1": "0", "0": "1"} {
		if got := report(t, log, "--settled", minutes); got[1][4] != want {
			t.Errorf("after %s minutes: %q verifications, want %s", minutes, got[1][4], want)
		}
	}
}
