package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// notes is the example app of one page, examples/spa: a page of React, and the API that serves it.
type notes struct {
	entry  string // of the client, in TWOFA_CLIENTS
	at     string // the address of the API
	issuer string
}

// buildTimeout is how long npm may take. The first time, it loads the packages of the page.
const buildTimeout = 3 * time.Minute

// prepareNotes makes the client. Page and API have to be built.
func (d demo) prepareNotes(service string) (*notes, error) {
	at, err := freePort(d.notesPort)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(d.root, "examples", "spa", "README.md"))
	if err != nil {
		return nil, err
	}
	entry := block(text, "json", `"notes"`)
	if entry == "" {
		return nil, errors.New("examples/spa/README.md does not have its client")
	}
	return &notes{entry: strings.ReplaceAll(entry, "http://127.0.0.1:7090", "http://"+at), at: at, issuer: "http://" + service + "/oidc"}, nil
}

// pageDir is where the built page is, in the demo's own folder.
func pageDir(dir string) string { return filepath.Join(dir, "page") }

// buildPage builds the page into a folder, with the packages that its lock file names. It needs Node, and nothing else
// in the demo does. An error says in one line why there is no page.
func (d demo) buildPage(ctx context.Context, to string) error {
	if _, err := exec.LookPath(d.npm); err != nil {
		return fmt.Errorf("it needs Node 20 or newer, and %s is not installed", d.npm)
	}
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	folder := filepath.Join(d.root, "examples", "spa")
	commands := [][]string{{"run", "--silent", "build", "--", "--logLevel", "error", "--outDir", to}}
	if !newer(filepath.Join(folder, "node_modules", ".package-lock.json"), filepath.Join(folder, "package-lock.json")) {
		commands = append([][]string{{"ci", "--silent", "--no-audit", "--no-fund", "--fetch-retries=1"}}, commands...)
	}
	for _, args := range commands {
		cmd := exec.CommandContext(ctx, d.npm, args...)
		cmd.Dir, cmd.WaitDelay = folder, stopTimeout
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("npm %s failed in examples/spa (%w): %s", args[0], err, firstLine(string(out)))
		}
	}
	return nil
}

// newer reports whether a file is there, and not older than another one.
func newer(path, than string) bool {
	a, errA := os.Stat(path)
	b, errB := os.Stat(than)
	return errA == nil && errB == nil && !a.ModTime().Before(b.ModTime())
}

// firstLine is the first line that says something.
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return "it says nothing"
}

const welcomeNotes = `
  Acme Notes is at  http://%s

  It is a page of React with an API of its own (examples/spa).
  %s The code appears in this terminal, and for a mail address a link, too.

`

// serve runs the API until ctx ends, and says where it is. account is the only one, "" if people sign up. twofa has to
// run: the API asks it at once.
func (n *notes) serve(ctx context.Context, p *programs, dir, account string) error {
	p.run(ctx, p.log, filepath.Join(dir, "notes"), []string{"-addr", n.at, "-issuer", n.issuer, "-client", "notes", "-files", pageDir(dir)})
	if err := p.answer(ctx, "http://"+n.at+"/"); err != nil {
		return err
	}
	who := "Create an account there with any number or mail address."
	if account != "" {
		who = "Sign in with " + account + "."
	}
	_, _ = fmt.Fprintf(p.out, welcomeNotes, n.at, who) // if the terminal is gone, the demo ends soon
	return nil
}
