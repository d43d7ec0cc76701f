// Package azurite is test support: it runs Azurite's table service, the emulator of
// Azure Table Storage, for the tests of one process.
//
// Azurite listens on loopback only, keeps everything in memory and ends with the test
// process, even if that is killed. Only tests may import this package.
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

// account is the name of the account of every instance. Each instance has another random
// key, so that a test of leaks can search for a value that is nowhere else.
const account = "devstoreaccount1"

// launcher is a script that node runs before Azurite. It does two things that Azurite's flags
// cannot do. It ends the process when the pipe on its standard input is closed, which the
// kernel does even if the test process is killed. And it prints the port that the kernel has
// chosen, so that no other process can take the port before Azurite listens.
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

// startTimeout is long: a start takes a second on an idle machine, and much longer if several
// test processes start at the same time on few cores.
const startTimeout = 60 * time.Second

// Start runs an empty instance for one test and returns its connection string. The instance
// is stopped when the test ends. The test fails if Azurite is not installed.
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

// Shared returns the connection string of one instance that all tests of this process share.
// The instance is stopped when the process ends. A test that needs its own tables uses its own
// table prefix.
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

// stop closes the pipe, which ends the instance, and waits for the end.
func (p *process) stop() {
	p.stdin.Close()
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill() // fails only if the process has just ended
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
		return nil, errors.New("azurite: node is not installed; tests with Azurite need it (see `make tools`)")
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
		for lines.Scan() { // read everything, or Azurite would block on a full pipe
			if n, ok := strings.CutPrefix(lines.Text(), portMark); ok {
				port <- n
			}
		}
		_ = cmd.Wait() // an error matters only before Azurite listens, and stderr shows it
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

// script finds Azurite's entry point below the module's root.
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
