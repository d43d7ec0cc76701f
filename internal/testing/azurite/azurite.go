// Package azurite is test support: it runs Azurite's table service, the
// emulator of Azure Table Storage, for the tests of one process.
//
// It listens on loopback only, keeps everything in memory and dies with the
// test process, however that ends. It must never be imported outside tests.
package azurite

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// account is the name of the account that every instance serves. Its key is
// drawn anew for each instance, so that a test of leaks looks for a value that
// cannot stand anywhere else.
const account = "devstoreaccount1"

// launcher is run by node in front of Azurite and does two things that
// Azurite's flags can't: it ends the process as soon as the pipe on its standard
// input is closed, which the kernel does even if the test process is killed, and
// it says which port the kernel has given us, so that no port is chosen first
// and taken by somebody else meanwhile.
const launcher = `
process.stdin.on('end', () => process.exit(0)).resume();
const { Server } = require('net');
const listen = Server.prototype.listen;
Server.prototype.listen = function (...args) {
	this.once('listening', () => console.log(` + "`" + portMark + "${this.address().port}`" + `));
	return listen.apply(this, args);
};
require(process.argv[1]);
`

const portMark = "twofa-test-port="

// startTimeout is generous: it takes a second on an idle machine, and many times
// that where several test processes start at once on few cores.
const startTimeout = 60 * time.Second

// Start runs an instance of its own for the test, empty, and returns its
// connection string. It is stopped when the test ends. The test fails if Azurite
// is not installed.
func Start(t testing.TB) (connectionString string) {
	t.Helper()
	p, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p.connectionString
}

var shared = sync.OnceValues(start)

// Shared returns the connection string of one instance that all tests of this
// process share; it is stopped when the process ends. A test that needs to be
// alone takes a table prefix of its own.
func Shared(t testing.TB) (connectionString string) {
	t.Helper()
	p, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return p.connectionString
}

type process struct {
	connectionString string
	cmd              *exec.Cmd
	stdin            io.Closer
	exited           chan struct{}
}

// stop closes the pipe that keeps the instance alive and waits for its end.
func (p *process) stop() {
	p.stdin.Close()
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill() // fails only if it has just ended
		<-p.exited
	}
}

func start() (*process, error) {
	main, err := script()
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("azurite: node is not installed; it is needed by the tests that run Azurite (see `make tools`)")
	}

	rawKey := make([]byte, 64)
	rand.Read(rawKey)
	key := base64.StdEncoding.EncodeToString(rawKey)

	cmd := exec.Command(node, "-e", launcher, main,
		"--inMemoryPersistence", "--silent", "--disableTelemetry",
		"--tableHost", "127.0.0.1", "--tablePort", "0")
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+account+":"+key)
	cmd.Dir = os.TempDir()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("azurite: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("azurite: %w", err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("azurite: %w", err)
	}

	p := &process{cmd: cmd, stdin: stdin, exited: make(chan struct{})}
	port := make(chan string, 1)
	go func() {
		defer close(p.exited)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() { // to the end, or Azurite would block on a full pipe
			if n, ok := strings.CutPrefix(lines.Text(), portMark); ok {
				port <- n
			}
		}
		_ = cmd.Wait() // how it ended matters only before it listens, and shows on stderr
	}()

	select {
	case n := <-port:
		p.connectionString = fmt.Sprintf(
			"DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;TableEndpoint=http://127.0.0.1:%s/%s;",
			account, key, n, account)
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("azurite: ended before it listened: %s", stderr.String())
	case <-time.After(startTimeout):
		p.stop()
		return nil, fmt.Errorf("azurite: does not listen after %v: %s", startTimeout, stderr.String())
	}
}

// script finds Azurite's entry point beneath the module's root.
func script() (string, error) {
	dir, err := os.Getwd() // go test runs each package's tests in its folder
	if err != nil {
		return "", fmt.Errorf("azurite: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("azurite: no go.mod above the working directory")
		}
		dir = parent
	}
	path := filepath.Join(dir, "tools", "node_modules", "azurite", "dist", "src", "table", "main.js")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("azurite: not installed in %s: run `make tools`", filepath.Join(dir, "tools"))
	}
	return path, nil
}
