package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// owner is a part of the program to which samples of a CPU profile are counted.
type owner struct {
	name   string
	frames []string // prefixes of function names
}

// owners are all owners. A sample belongs to the owner of the innermost frame that has an owner;
// for one frame, the first owner in the list counts. So a sample in the standard library belongs
// to the owner of the caller.
var owners = []owner{
	{"storage connection: net/http's client under aztables", []string{"twofa/internal/store/azuretable.transporter"}},
	{"provider connection: net/http's client under twilio-go", []string{"twofa/internal/notify/twilio.(*exchange).RoundTrip"}},
	{"Azure SDK (aztables, azcore)", []string{"github.com/Azure/"}},
	{"Twilio SDK", []string{"github.com/twilio/"}},
	{"twofa: log line", []string{"twofa/handler.(*API).logLine"}},
	{"twofa: store", []string{"twofa/internal/store"}},
	{"twofa: messenger", []string{"twofa/internal/notify"}},
	{"twofa: domain and sealing", []string{"twofa/internal/otp", "twofa/internal/secret", "twofa/internal/row", "twofa/internal/recipient", "twofa/internal/phone"}},
	{"twofa: HTTP edge and use cases", []string{"twofa/"}},
	{"both clients' connections: net/http's loops", []string{"net/http.(*persistConn).readLoop", "net/http.(*persistConn).writeLoop", "net/http.(*Transport).dialConn"}},
	{"net/http server", []string{"net/http.(*conn)", "net/http.(*connReader)", "net/http.(*Server)"}},
	{"garbage collector", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcStart"}},
}

const ownerless = "scheduler and the rest of the runtime"

func ownerOf(stack []string) string {
	for _, frame := range stack { // from the leaf
		for _, o := range owners {
			if slices.ContainsFunc(o.frames, func(f string) bool { return strings.HasPrefix(frame, f) }) {
				return o.name
			}
		}
	}
	return ownerless
}

// profile takes CPU profiles of the service under load and reports the shares of the owners.
func (m *measurement) profile(ctx context.Context) error {
	r, err := newRig(m.bin, true)
	if err != nil {
		return err
	}
	defer r.close()
	if _, err := r.all(r.twofa, compareAt, m.many/2); err != nil {
		return err
	}
	batch := r.batch(m.profiled)
	files := map[string]string{}
	m.say("CPU profiles of the service (the binary with the probe) at %d connections, kept as dist/bench-*.pprof.", compareAt)
	for _, p := range []struct {
		name       string
		operations []operation
	}{{"send", []operation{send}}, {"check", []operation{wrong, right}}} {
		file := filepath.Join(m.out, "bench-"+p.name+".pprof")
		if _, err := fetch(http.MethodPost, "http://"+r.twofa.proc.probe+"/profile?file="+url.QueryEscape(file)); err != nil {
			return err
		}
		for _, o := range p.operations {
			if _, err := r.twofa.run(o, batch, compareAt); err != nil {
				return err
			}
		}
		if _, err := fetch(http.MethodDelete, "http://"+r.twofa.proc.probe+"/profile"); err != nil {
			return err
		}
		files[p.name] = file
	}
	shares := map[string]map[string]float64{}
	var sdk []string
	for _, name := range []string{"send", "check"} {
		by, under, err := m.shares(ctx, files[name])
		if err != nil {
			return err
		}
		shares[name] = by
		sdk = append(sdk, fmt.Sprintf("%s of a %s", percent(under), name))
	}
	rows := [][]string{}
	for _, o := range append(owners, owner{name: ownerless}) {
		rows = append(rows, []string{o.name, percent(shares["send"][o.name]), percent(shares["check"][o.name])})
	}
	m.say("Each sample belongs to the owner of the innermost function that has an owner; the standard library belongs to its caller:")
	m.table([]string{"owner", "send", "check"}, rows)
	m.say("All work inside calls of the Azure SDK, including the connections, is %s.\n", strings.Join(sdk, ", "))
	for _, name := range []string{"send", "check"} {
		top, err := m.pprof(ctx, "-top", "-nodecount=15", files[name])
		if err != nil {
			return err
		}
		_, top, _ = strings.Cut(top, "      flat ")
		m.say("Top entries, %s:\n\n```\n      flat %s```\n", name, top)
	}
	return nil
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func (m *measurement) pprof(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof"}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w\n%s", err, out)
	}
	return string(out), nil
}

// shares returns the owners' shares of a profile, and the share of samples with the Azure SDK
// anywhere on their stack.
func (m *measurement) shares(ctx context.Context, file string) (by map[string]float64, sdk float64, err error) {
	text, err := m.pprof(ctx, "-traces", file)
	if err != nil {
		return nil, 0, err
	}
	by = map[string]float64{}
	total := 0.0
	traces := strings.Split(text, "-----------+")
	for _, trace := range traces[1:] { // the first part is the header
		var value time.Duration
		var stack []string
		for i, line := range strings.Split(strings.TrimSpace(trace), "\n")[1:] {
			fields := strings.Fields(line)
			if i == 0 {
				if value, err = time.ParseDuration(fields[0]); err != nil {
					return nil, 0, fmt.Errorf("a trace of pprof: %q", line)
				}
				fields = fields[1:]
			}
			stack = append(stack, strings.Join(fields, " "))
		}
		total += value.Seconds()
		by[ownerOf(stack)] += value.Seconds()
		if slices.ContainsFunc(stack, func(f string) bool { return strings.HasPrefix(f, "github.com/Azure/") }) {
			sdk += value.Seconds()
		}
	}
	for name := range by {
		by[name] /= total
	}
	return by, sdk / total, nil
}
