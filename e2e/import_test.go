package e2e

import (
	"encoding/base32"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"twofa/internal/secret"
)

// runCommand runs the binary with arguments to its end. It returns its output and its exit code.
func runCommand(t *testing.T, dir string, env []string, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	p := start(t, dir, env, strings.NewReader(stdin), args...)
	code = p.exit()
	return p.stdout.String(), p.stderr.String(), code
}

// The export of another system, in importFile. Each value that must not be in the output
// contains a canary.
const (
	importedSecret = "CANARYKEYCANARYKEYCANARYKEYCANAR"
	importedURI    = "CANARYSHACANARYSHACANARYSHACANAR"
	importFile     = "\ufeffphone,email,name,secret,authenticator\r\n" +
		"+1 415 213 5550,canary.one@example.com,canary.one," + importedSecret + ",canary phone\r\n" +
		",canary.two@example.com,canary.two,otpauth://totp/canary:two?secret=" + importedURI + "&algorithm=SHA256&digits=8,\r\n" +
		"415 213 5551,canary.bad@@example,canary.bad\u202e,canary1890,canary\r\n" +
		"+14152135552,,canary.bob,,\r\n"
)

// leaked matches the canaries and the numbers of the imported users.
var leaked = regexp.MustCompile(`(?i)canary|213.?555`)

// codeOfSecret returns the present code of a base32 secret, for SHA1 and 6 digits.
func codeOfSecret(t *testing.T, secret string) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestImportIntoEitherStore(t *testing.T) {
	rig := newParallelRig(t)
	for name, env := range map[string][]string{
		"azure": rig.env("TWOFA_STORE=azure", "TWOFA_MESSENGER=twilio", "TWOFA_ADDR=127.0.0.1:0"),
		"bolt":  {"TWOFA_STORE=bolt", "TWOFA_COUNTRIES=*", "TWOFA_ADDR=127.0.0.1:0", "TWOFA_DATA_DIR=" + filepath.Join(t.TempDir(), "data")},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "users.csv")
			writeFile(t, file, importFile)
			for _, summary := range []string{
				"read 4, created 3, changed 0, unchanged 0, skipped 1; ",
				"read 4, created 0, changed 0, unchanged 3, skipped 1; ",
			} {
				stdout, stderr, code := runCommand(t, dir, env, "", "users", "import", file)
				if code != 2 || stdout != "" || leaked.MatchString(stderr) ||
					!containsAll(stderr, []string{summary, "line 4: skipped: name: ", "phone: ", "email: ", "secret: ", "peak memory "}) {
					t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
				}
			}
			p := serve(t, env)
			check := fields{"user": "canary.one", "code": codeOfSecret(t, importedSecret), "factor": "totp"}
			want(t, p.check(check), "200")
			want(t, p.check(check), "422 wrong_code") // used
			if looked := p.get("/api/users/canary.two"); !containsAll(looked.body, []string{`"authenticators":1`, `"verified":{"email":false}`}) {
				t.Errorf("looked up %s", looked.body)
			}
			if name == "bolt" {
				_, stderr, code := runCommand(t, dir, env, "", "users", "import", file)
				if code != 1 || !strings.Contains(stderr, "Stop the service first") {
					t.Errorf("while the service runs: exit %d, %s", code, stderr)
				}
				p.signal(syscall.SIGTERM)
				p.exit()
			}

			exported, stderr, code := runCommand(t, dir, env, "", "users", "export")
			if code != 0 || leaked.MatchString(stderr) || !containsAll(stderr, []string{"wrote 3 users in 3 lines", "whoever has it"}) {
				t.Errorf("export: exit %d, %s", code, stderr)
			}
			if !containsAll(exported, []string{"name,phone,email,", "canary.bob,+14152135552,", importedSecret, importedURI + "&issuer=twofa&algorithm=SHA256&digits=8&period=30"}) {
				t.Errorf("exported %s", exported)
			}
			// After another import, the code is still used.
			_, stderr, code = runCommand(t, dir, env, exported, "users", "import", "-")
			if code != 0 || !strings.Contains(stderr, "read 3, created 0, changed 0, unchanged 3, skipped 0; ") {
				t.Errorf("import of the export: exit %d, %s", code, stderr)
			}
			if name == "bolt" {
				p = serve(t, env)
			}
			want(t, p.check(check), "422 wrong_code")
		})
	}
}

func TestImportReportsProgressAndStopsBySignal(t *testing.T) {
	t.Parallel()
	r, stdin, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	env := []string{"TWOFA_COUNTRIES=*"}
	p := start(t, t.TempDir(), env, r, "users", "import", "-")
	r.Close()
	if _, err := io.WriteString(stdin, "name,phone,email,secret\ncanary.one,+14152135550,,\ncanary.two,+14152135551,,\n"); err != nil {
		t.Fatal(err)
	}
	p.stderr.await(t, p.exited, "read 2, skipped 0, ")
	p.signal(os.Interrupt)
	if code := p.exit(); code != 1 || leaked.MatchString(p.stderr.String()) ||
		!containsAll(p.stderr.String(), []string{"stopped after line 3: stopped by a signal.", "safe to import the same file again", "created 2"}) {
		t.Errorf("exit %d, %s", code, p.stderr)
	}
}

func TestImportThatCannotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := []string{"TWOFA_COUNTRIES=*"}
	for name, tc := range map[string]struct {
		env   []string
		stdin string
		args  []string
		want  string
	}{
		"no such command": {good, "", []string{"users", "delete"}, "usage:"},
		"no file":         {good, "", []string{"users", "import"}, "usage:"},
		"a missing file":  {good, "", []string{"users", "import", "missing.csv"}, "missing.csv"},
		"bad settings":    {[]string{"TWOFA_STORE=oracle"}, "", []string{"users", "import", "-"}, "settings: TWOFA_STORE"},
		"a column":        {good, "name,phone,email,secret,canary\n", []string{"users", "import", "-"}, "column 5 of the first line is unknown"},
		"no header":       {good, importFile[strings.Index(importFile, "\n")+1:], []string{"users", "import", "-"}, "nothing was taken in: column 1"},
		"a misspelling":   {append(good, "TWOFA_STOER=azure"), "name\n", []string{"users", "import", "-"}, "TWOFA_STOER"},
	} {
		stdout, stderr, code := runCommand(t, dir, tc.env, tc.stdin, tc.args...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, tc.want) || leaked.MatchString(stderr) {
			t.Errorf("%s: exit %d\n%s%s", name, code, stdout, stderr)
		}
	}
	env := []string{"TWOFA_COUNTRIES=*", "TWOFA_STORE=azure", "TWOFA_SECRET=" + secret.Generate(),
		"TWOFA_TABLES_CONNECTION=DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:1/acct;"}
	p := start(t, dir, env, strings.NewReader("name,phone,email,secret\ncanary.one,+14152135550,,\n"), "users", "import", "-")
	p.stderr.await(t, p.exited, "read 0, ") // the import tries again for a while
	p.signal(os.Interrupt)
	if code := p.exit(); code != 1 || !strings.Contains(p.stderr.String(), "nothing was taken in") || leaked.MatchString(p.stderr.String()) {
		t.Errorf("an unreachable store: exit %d, %s", code, p.stderr)
	}
}

func TestExportDoesNotWriteToATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := []string{"TWOFA_COUNTRIES=*"}
	if _, stderr, code := runCommand(t, dir, env, "name,phone,email,secret\ncanary.one,+14152135550,,\n", "users", "import", "-"); code != 0 {
		t.Fatal(stderr)
	}
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{{nil, 1, "this is a terminal"}, {[]string{"-force"}, 0, "wrote 1 users"}} {
		terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
		if err != nil {
			t.Skip(err)
		}
		cmd := exec.Command(binary, append([]string{"users", "export"}, tc.args...)...)
		var stderr strings.Builder
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, terminal, &stderr
		_ = cmd.Run() // ProcessState has the exit code
		terminal.Close()
		if got := cmd.ProcessState.ExitCode(); got != tc.code || !strings.Contains(stderr.String(), tc.want) {
			t.Errorf("%v: exit %d, %s", tc.args, got, stderr.String())
		}
	}
}

// An import of more lines than it works on at a time, into a store that needs a request for
// each: all good lines are imported, and the bad ones are reported in order.
func TestImportOfManyLines(t *testing.T) {
	rig := newParallelRig(t)
	env := rig.env("TWOFA_STORE=azure", "TWOFA_MESSENGER=twilio")
	var file strings.Builder
	file.WriteString("name,phone,email,secret\n")
	const n = 500
	for i := range n {
		app := base32.StdEncoding.EncodeToString(fmt.Appendf(nil, "secret of the user %03d ", i))
		if i%100 == 99 {
			app = "canary"
		}
		fmt.Fprintf(&file, "user %d,+1415%07d,,%s\n", i, 2_000_000+i, app)
	}
	_, stderr, code := runCommand(t, t.TempDir(), env, file.String(), "users", "import", "-")
	lines := regexp.MustCompile(`(?m)^line (\d+): skipped`).FindAllString(stderr, -1)
	if want := "line 101: skipped,line 201: skipped,line 301: skipped,line 401: skipped,line 501: skipped"; code != 2 || strings.Join(lines, ",") != want ||
		!strings.Contains(stderr, "read 500, created 495, changed 0, unchanged 0, skipped 5; ") || strings.Contains(stderr, "canary") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if got := rig.rows(); got != 0 { // rows counts only rows that expire
		t.Errorf("%d rows expire", got)
	}
}
