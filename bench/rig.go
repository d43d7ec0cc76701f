package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"twofa/bench/tableserver"
	"twofa/internal/secret"
)

// rig is one set of servers: a storage, a provider, the service, and the two yardsticks, which
// answer with the recorded answers of the service.
type rig struct {
	bin       binaries
	provider  *provider
	storage   *process
	tables    string // the account's URL
	control   string // the URL of the storage's control
	answers   string // the file of recorded answers
	data      int    // mean size of the data in a row of the service, in bytes
	numbers   *numbers
	processes []*process

	twofa, yardstick, yardstickPost, bare *target
}

// settings are realistic settings of the service: a template, countries, and the defaults for
// the rest.
func (r *rig) settings(addr string) []string {
	return []string{
		"TWOFA_ADDR=" + addr,
		"TWOFA_SECRET=" + secret.Generate(),
		"TWOFA_STORE=azure",
		"TWOFA_TABLES_CONNECTION=DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=a2V5;TableEndpoint=" + r.tables + ";",
		"TWOFA_MESSENGER=twilio",
		"TWOFA_COUNTRIES=US,IN",
		"TWOFA_BRAND=Example Bank",
		"TWILIO_ACCOUNT_SID=AC00000000000000000000000000000000",
		"TWILIO_AUTH_TOKEN=00000000000000000000000000000000",
		"TWILIO_WHATSAPP_FROM=+14155238886",
		"TWILIO_CONTENT_SID=HX00000000000000000000000000000000",
		"TWILIO_BASE_URL=" + r.provider.URL,
	}
}

// table is the name of the service's table with the default prefix.
const table = "twofarecipients"

// newStorageRig starts a storage and a provider. The caller closes the rig.
func newStorageRig(bin binaries) (*rig, error) {
	r := &rig{bin: bin, provider: newProvider(), numbers: new(numbers)}
	if err := r.startStorage(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// newRig starts all servers. With probes, it starts the binaries that contain package probe.
// The caller closes the rig.
func newRig(bin binaries, probes bool) (r *rig, err error) {
	if r, err = newStorageRig(bin); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	service, bareServer, yardstick := bin.twofa, bin.bare, bin.yardstick
	if probes {
		service, bareServer, yardstick = bin.twofaProbe, bin.bareProbe, bin.yardstickProbe
	}
	r.twofa = &target{
		name: "twofa", codes: r.provider.code,
		paths: [operations]string{"/api/otpsend", "/api/otpverify", "/api/otpverify"},
	}
	if r.twofa.proc, err = r.serve(service, probes, r.settings); err != nil {
		return r, err
	}
	if err := r.recordAnswers(); err != nil {
		return r, err
	}
	flags := []string{"-answers", r.answers}
	r.bare = &target{name: "bare server", paths: barePaths}
	if r.bare.proc, err = r.serve(bareServer, probes, nil, flags...); err != nil {
		return r, err
	}
	flags = append(flags, "-tables", r.tables, "-data", fmt.Sprint(r.data), "-provider", r.provider.URL+"/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json")
	r.yardstick = &target{name: "yardstick", paths: barePaths}
	if r.yardstick.proc, err = r.serve(yardstick, probes, nil, flags...); err != nil {
		return r, err
	}
	withPost := *r.yardstick
	withPost.name, withPost.paths[send] = "yardstick and a POST", "/sendpost"
	r.yardstickPost = &withPost
	return r, nil
}

// startStorage starts the table server at two free addresses.
func (r *rig) startStorage() error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	control, err := freeAddr()
	if err != nil {
		return err
	}
	r.tables, r.control = "http://"+addr+"/acct", "http://"+control
	// When the control answers, the tables do so too.
	p, err := serve(r.bin.tableServer, control, "", nil, "-addr", addr, "-control", control)
	if err == nil {
		r.storage = p
		r.processes = append(r.processes, p)
	}
	return err
}

// serve starts a program with a free address. The yardsticks get the address by a flag, the
// service by a setting.
func (r *rig) serve(path string, probes bool, settings func(string) []string, args ...string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	probe := ""
	if probes {
		if probe, err = freeAddr(); err != nil {
			return nil, err
		}
	}
	var env []string
	if settings != nil {
		env = settings(addr)
	} else {
		args = append([]string{"-addr", addr}, args...)
	}
	p, err := serve(path, addr, probe, env, args...)
	if err == nil {
		r.processes = append(r.processes, p)
	}
	return p, err
}

// recordAnswers records one answer of the service to each operation, and the size of its rows.
func (r *rig) recordAnswers() error {
	// The first write creates the tables.
	all, err := r.twofa.record(&batch{numbers: r.numbers.take(1)})
	if err != nil {
		return err
	}
	size, err := fetch(http.MethodGet, r.control+"/data?table="+table)
	if err == nil {
		_, err = fmt.Sscan(size, &r.data)
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	r.answers = filepath.Join(r.bin.dir, "answers.json")
	return os.WriteFile(r.answers, text, 0o600)
}

// tell posts a command to the storage's control.
func (r *rig) tell(path string) error {
	_, err := fetch(http.MethodPost, r.control+path)
	return err
}

func (r *rig) stats() (tableserver.Stats, error) {
	var s tableserver.Stats
	text, err := fetch(http.MethodGet, r.control+"/stats")
	if err == nil {
		err = json.NewDecoder(strings.NewReader(text)).Decode(&s)
	}
	return s, err
}

// batch returns n numbers that were not used before.
func (r *rig) batch(n int) *batch { return &batch{numbers: r.numbers.take(n)} }

// all runs the three operations for n new numbers.
func (r *rig) all(t *target, conns, n int) (samples [operations]sample, err error) {
	b := r.batch(n)
	for o := range operations {
		if samples[o], err = t.run(o, b, conns); err != nil {
			return samples, err
		}
	}
	return samples, nil
}

func (r *rig) close() {
	for _, p := range r.processes {
		p.stop()
	}
	r.provider.Close()
}
