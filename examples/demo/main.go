// Command demo starts twofa and the example apps together on loopback: see make demo. The apps are
// the bank and, if there is Node to build it, the page of React. It makes a client for each, keeps all
// rows in a temporary folder, and shows the messages with the codes in its terminal. With an account, it
// also starts an app of somebody else, oauth2-proxy, to which the account's person signs in with twofa.
// It must never send a real message.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	d := demo{root: ".", servicePort: 7071, bankPort: 7080, notesPort: 7090, appPort: 4180, npm: "npm", out: os.Stdout}
	flag.StringVar(&d.account, "account", "", "the number or e-mail address of the only person who can sign in; also starts an intranet behind oauth2-proxy")
	flag.Parse()
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is one run. A port that is in use is replaced by the next free one; 0 is any free port.
type demo struct {
	root                                      string // of the repository
	servicePort, bankPort, notesPort, appPort int
	out                                       io.Writer
	settings                                  []string // more of twofa's
	npm                                       string   // the program that builds the page of Acme Notes, "" for a demo without it
	account                                   string   // an address, "" for a demo without oauth2-proxy
}

const (
	// startTimeout is how long a program may take until it answers.
	startTimeout = 20 * time.Second
	// stopTimeout is how long a program may take to end before it is killed.
	stopTimeout = 10 * time.Second
)

// run builds and starts the programs, and waits until ctx ends or one of them does. When it
// returns, all have ended. It returns nil if ctx ended.
func (d demo) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "twofa-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, source := range map[string]string{"twofa": ".", "bank": "./examples/bank"} {
		if err := d.build(ctx, dir, name, source); err != nil {
			return err
		}
	}
	var noNotes error
	if d.npm != "" {
		if noNotes = d.buildPage(ctx, pageDir(dir)); noNotes == nil {
			if err := d.build(ctx, dir, "notes", "./examples/spa/api"); err != nil {
				return err
			}
		}
	}
	all, err := d.plan(ctx, dir, noNotes) // after all that takes long: somebody else could take a free port
	if err != nil {
		return err
	}
	defer all.close()
	log, err := os.CreateTemp("", "twofa-demo-*.log") // a name that nobody can have prepared
	if err != nil {
		return err
	}
	defer func() {
		_ = log.Close()
		if err == nil {
			_ = os.Remove(log.Name())
		} else {
			err = fmt.Errorf("%w (the log is in %s)", err, log.Name())
		}
	}()

	p := programs{ended: make(chan error, 4), out: d.out, log: log}
	running, end := context.WithCancel(ctx)
	defer p.all.Wait()
	defer end()
	if err = d.start(running, &p, dir, all, log.Name()); err == nil {
		err = <-p.ended
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// plan is what a demo will start.
type plan struct {
	service, bank string   // addresses
	secret        string   // of the bank
	clients       []string // entries of TWOFA_CLIENTS
	signUp        string   // TWOFA_SIGNUP
	notes         *notes   // nil without
	noNotes       error    // why there is none, nil if it is there or nobody wanted it
	intranet      *intranet
}

// plan finds addresses, and makes the clients and perhaps an account.
func (d demo) plan(ctx context.Context, dir string, noNotes error) (all plan, err error) {
	all.noNotes = noNotes
	if all.service, err = freePort(d.servicePort); err != nil {
		return all, err
	}
	if all.bank, err = freePort(d.bankPort); err != nil {
		return all, err
	}
	all.secret, all.signUp = rand.Text()+rand.Text(), "open"
	all.clients = []string{client(all.secret, all.bank)}
	if d.npm != "" && noNotes == nil {
		if all.notes, err = d.prepareNotes(all.service); err != nil {
			return all, err
		}
		all.clients = append(all.clients, all.notes.entry)
	}
	if d.account != "" {
		if all.intranet, err = d.prepare(dir, all.service); err != nil {
			return all, err
		}
		all.clients, all.signUp = append(all.clients, all.intranet.entry), "closed"
		err = give(ctx, dataDir(dir), d.account)
	}
	return all, err
}

// close frees what the plan holds.
func (all plan) close() {
	if all.intranet != nil {
		_ = all.intranet.page.Close() // serve closes it, too
	}
}

// start starts everything, and says where it is.
func (d demo) start(ctx context.Context, p *programs, dir string, all plan, log string) error {
	p.start(ctx, filepath.Join(dir, "twofa"), nil, append([]string{
		"TWOFA_MESSENGER=console", "TWOFA_CHANNELS=whatsapp,sms,email", "TWOFA_STORE=bolt", "TWOFA_DATA_DIR=" + dataDir(dir),
		"TWOFA_ADDR=" + all.service, "TWOFA_PUBLIC_URL=http://" + all.service, "TWOFA_CLIENTS=[" + strings.Join(all.clients, ", ") + "]",
		"TWOFA_SIGNUP=" + all.signUp, "TWOFA_REMEMBER_DEVICE=720h",
	}, d.settings...)...)
	p.start(ctx, filepath.Join(dir, "bank"), []string{"-demo", "-addr", all.bank, "-twofa", "http://" + all.service},
		"BANK_CLIENT_ID=bank", "BANK_CLIENT_SECRET="+all.secret)
	if err := p.answer(ctx, "http://"+all.service+"/health", "http://"+all.bank+"/"); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(d.out, welcome, all.bank, log) // if the terminal is gone, the demo ends soon
	if all.noNotes != nil {
		_, _ = fmt.Fprintf(d.out, "  Acme Notes is not started: %v.\n\n", all.noNotes)
	}
	if all.notes != nil {
		if err := all.notes.serve(ctx, p, dir, d.account); err != nil {
			return err
		}
	}
	if all.intranet != nil {
		return all.intranet.serve(ctx, p, d.account)
	}
	return nil
}

// build builds one program of the repository into a folder.
func (d demo) build(ctx context.Context, dir, name, source string) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), source)
	build.Dir = d.root
	if out, err := build.CombinedOutput(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return nil
}

const welcome = `
  The bank is at  http://%s

  Open an account there with any valid number, such as +14155550123, or with any mail
  address, and log in. Then pay, set up an authenticator app, and attack the account.
  Messages and mails appear here; nothing is sent. The log is in %s.
  Ctrl-C ends the demo, and everything in it is forgotten.

`

// dataDir is where twofa has its rows, in the demo's own folder.
func dataDir(dir string) string { return filepath.Join(dir, "data") }

// client is the entry of the bank in TWOFA_CLIENTS.
func client(secret, bank string) string {
	return fmt.Sprintf(`{"id": "bank", "secrets": ["sha256:%x"], "scopes": ["send", "check", "users", "alerts"], "brand": "Acme Bank", "color": "#0b5fff",
		"return_urls": ["http://%[2]s/2fa/done", "http://%[2]s/pay/done", "http://%[2]s/security/proven", "http://%[2]s/security/done"]}`,
		sha256.Sum256([]byte(secret)), bank)
}

// freePort returns an address of loopback where nobody listens: the port, or one of the next 19.
func freePort(port int) (string, error) {
	for p := port; p < port+20; p++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("the ports %d to %d are all in use", port, port+19)
}

// programs are what the demo started.
type programs struct {
	all   sync.WaitGroup
	ended chan error // gets why a program ended
	out   io.Writer  // gets messages and last words
	log   io.Writer  // gets lines of JSON
	mu    sync.Mutex // of out and log
}

// start runs a program until ctx ends, and shows what it prints.
func (p *programs) start(ctx context.Context, path string, args []string, settings ...string) {
	p.run(ctx, p.out, path, args, settings...)
}

// run runs a program until ctx ends. Its lines go to out, those of JSON to the log.
func (p *programs) run(ctx context.Context, out io.Writer, path string, args []string, settings ...string) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopTimeout
	cmd.Env = append(cleanEnvironment(os.Environ()), settings...)
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	p.all.Go(func() { p.print(reader, out) })
	p.all.Go(func() {
		err := cmd.Run()
		_ = writer.Close()
		if err == nil {
			err = errors.New("it ended by itself")
		}
		p.ended <- fmt.Errorf("%s: %w", filepath.Base(path), err)
	})
}

// cleanEnvironment leaves out the settings of twofa, which could make it send real messages or
// use a real storage account.
func cleanEnvironment(all []string) (clean []string) {
	for _, entry := range all {
		keep := true
		for _, prefix := range []string{"TWOFA_", "TWILIO_", "AzureWebJobsStorage", "FUNCTIONS_", "BANK_", "OAUTH2_PROXY_"} {
			keep = keep && !strings.HasPrefix(entry, prefix)
		}
		if keep {
			clean = append(clean, entry)
		}
	}
	return clean
}

// print writes messages and errors to out, and keeps lines of JSON in the log.
func (p *programs) print(from io.Reader, out io.Writer) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		to := out
		if strings.HasPrefix(lines.Text(), "{") {
			to = p.log
		}
		_, _ = fmt.Fprintln(to, lines.Text()) // if the terminal is gone, the demo ends soon
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, from) // a program must not block on a line that is too long
}

// answer waits until all addresses answer. It returns why not if a program ends before.
func (p *programs) answer(ctx context.Context, addresses ...string) error {
	deadline := time.Now().Add(startTimeout)
	for _, address := range addresses {
		for !answers(ctx, address) {
			select {
			case err := <-p.ended:
				return err
			case <-time.After(50 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s does not answer", address)
			}
		}
	}
	return nil
}

func answers(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	client := http.Client{Timeout: time.Second}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}
