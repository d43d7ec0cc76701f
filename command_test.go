package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/store/boltstore"
)

// runMain makes the test binary run main instead of the tests.
const runMain = "TWOFA_TEST_RUN_MAIN=1"

func TestMain(m *testing.M) {
	if slices.Contains(os.Environ(), runMain) {
		main()
		return
	}
	os.Exit(m.Run())
}

// result is what a command prints, and its exit code.
type result struct {
	stdout, stderr string
	code           int
}

// runIn runs a command on the embedded store in a folder.
func runIn(t *testing.T, dir, stdin string, args ...string) result {
	t.Helper()
	stdout, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	stderr, code := runWith(t.Context(), t, dir, stdin, stdout, args...)
	text, err := os.ReadFile(stdout.Name())
	if err != nil {
		t.Fatal(err)
	}
	return result{string(text), stderr, code}
}

// runWith is runIn with the caller's context and standard output.
func runWith(ctx context.Context, t *testing.T, dir, stdin string, stdout *os.File, args ...string) (stderr string, code int) {
	t.Helper()
	t.Setenv("TWOFA_DATA_DIR", dir)
	var out strings.Builder
	c := &command{stdin: strings.NewReader(stdin), stdout: stdout, stderr: &out, began: time.Now()}
	code = c.run(ctx, args)
	return out.String(), code
}

// twoUsers is a file of users, whose values only an export may print.
const twoUsers = "name,phone,email,secret\ncanary.one,+14155550123,,CANARYKEYCANARYKEYCANARYKEYCANAR\ncanary.two,,canary@example.com,\n"

// importTwo makes a store with twoUsers.
func importTwo(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	if res := runIn(t, dir, twoUsers, "users", "import", "-"); res.code != exitDone {
		t.Fatalf("exit %d: %s", res.code, res.stderr)
	}
	return dir
}

// files returns the names in a folder.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// None of these commands opens a store.
func TestCommandsAndTheirHelp(t *testing.T) {
	versions := "twofa .+\n(commit [0-9a-f]{40}|unknown commit)\n" + regexp.QuoteMeta(runtime.Version()) + ".*\n"
	unknown := func(args string) string {
		return regexp.QuoteMeta(`twofa has no command "` + args + `"` + "\n\n" + usage)
	}
	help, imports, exports, clients, keys, accounts := regexp.QuoteMeta(usage), regexp.QuoteMeta(importUsage), regexp.QuoteMeta(exportUsage), regexp.QuoteMeta(clientsUsage), regexp.QuoteMeta(keysUsage), regexp.QuoteMeta(accountsUsage)
	for args, want := range map[string]result{ // stdout and stderr are regular expressions
		"help":                        {help, "", 0},
		"-h":                          {help, "", 0},
		"-help":                       {help, "", 0},
		"--help":                      {help, "", 0},
		"users help":                  {help, "", 0},
		"users -h":                    {help, "", 0},
		"users import help":           {imports, "", 0},
		"users import -h":             {imports, "", 0},
		"users import --help":         {imports, "", 0},
		"users export help":           {exports, "", 0},
		"users export -h":             {exports, "", 0},
		"users export -o x -h":        {exports, "", 0},
		"version":                     {versions, "", 0},
		"version x":                   {"", unknown("version x"), 1},
		"serve":                       {"", unknown("serve"), 1},
		"-addr 127.0.0.1:0":           {"", unknown("-addr 127.0.0.1:0"), 1},
		"users":                       {"", unknown("users"), 1},
		"users delete":                {"", unknown("users delete"), 1},
		"Users import x":              {"", unknown("Users import x"), 1},
		"users import":                {"", imports, 1},
		"users import a b":            {"", imports, 1},
		"users import -x a":           {"", "flag provided but not defined: -x\n" + imports, 1},
		"users export a":              {"", exports, 1},
		"users export -o":             {"", "flag needs an argument: -o\n" + exports, 1},
		"users import -directory a":   {"", imports, 1},
		"users import -directory A -": {"", regexp.QuoteMeta(notADirectory("A")) + imports, 1},
		"users import -directory= -":  {"", regexp.QuoteMeta(notADirectory("")) + imports, 1},
		"users export -directory a.b": {"", regexp.QuoteMeta(notADirectory("a.b")) + exports, 1},
		"users export -directory":     {"", "flag needs an argument: -directory\n" + exports, 1},
		"users export -forced":        {"", "flag provided but not defined: -forced\n" + exports, 1},
		"clients help":                {help, "", 0},
		"clients new help":            {clients, "", 0},
		"clients new a -h":            {clients, "", 0},
		"clients list --help":         {clients, "", 0},
		"clients check -h":            {clients, "", 0},
		"clients":                     {"", unknown("clients"), 1},
		"clients remove a":            {"", unknown("clients remove a"), 1},
		"clients new":                 {"", clients, 1},
		"clients new a b":             {"", clients, 1},
		"clients new a -x":            {"", "flag provided but not defined: -x\n" + clients, 1},
		"clients list a":              {"", clients, 1},
		"clients check":               {"", clients, 1},
		"accounts help":               {help, "", 0},
		"accounts add help":           {accounts, "", 0},
		"accounts show a --full -h":   {accounts, "", 0},
		"accounts erase -h":           {accounts, "", 0},
		"accounts":                    {"", unknown("accounts"), 1},
		"accounts list":               {"", unknown("accounts list"), 1},
		"accounts add":                {"", accounts, 1},
		"accounts add a b c":          {"", accounts, 1},
		"accounts add a --name":       {"", "flag needs an argument: -name\n" + accounts, 1},
		"accounts add --name x":       {"", accounts, 1},
		"accounts add a -- b --name":  {"", accounts, 1},
		"accounts import":             {"", accounts, 1},
		"accounts import a b":         {"", accounts, 1},
		"accounts import a --full":    {"", "flag provided but not defined: -full\n" + accounts, 1},
		"accounts show a b":           {"", accounts, 1},
		"accounts show --full":        {"", accounts, 1},
		"accounts unlock a b":         {"", accounts, 1},
		"accounts erase --yes a":      {"", accounts, 1},
		"accounts erase a --yes":      {"", "flag needs an argument: -yes\n" + accounts, 1},
		"keys help":                   {help, "", 0},
		"keys list help":              {keys, "", 0},
		"keys rotate -h":              {keys, "", 0},
		"keys":                        {"", unknown("keys"), 1},
		"keys new":                    {"", unknown("keys new"), 1},
		"keys list a":                 {"", keys, 1},
		"keys list --now":             {"", "flag provided but not defined: -now\n" + keys, 1},
		"keys rotate now":             {"", keys, 1},
		"keys rotate --force":         {"", "flag provided but not defined: -force\n" + keys, 1},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		got := runIn(t, dir, "", strings.Fields(args)...)
		if !regexp.MustCompile("^"+want.stdout+"$").MatchString(got.stdout) || !regexp.MustCompile("^"+want.stderr+"$").MatchString(got.stderr) || got.code != want.code {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", args, got.code, got.stdout, got.stderr)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: a store was made", args)
		}
	}
}

// notADirectory is what a command prints for a -directory that is not valid.
func notADirectory(value string) string {
	return fmt.Sprintf("invalid value %q for flag -directory: a directory of users has 1 to 32 characters, of a-z, 0-9 and -\n", value)
}

// A mistyped command ends the process. A process without a command serves.
func TestAMistypedCommandDoesNotServe(t *testing.T) {
	for _, args := range [][]string{{"serve"}, {""}, {"users"}, {"users", "exprot"}} {
		dir := filepath.Join(t.TempDir(), "data")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0], args...)
		cmd.Env = []string{runMain, "TWOFA_ADDR=127.0.0.1:0", "TWOFA_DATA_DIR=" + dir}
		out, _ := cmd.CombinedOutput() // the error is the exit code
		if code := cmd.ProcessState.ExitCode(); code != exitStopped || strings.Contains(string(out), "listening") || !strings.Contains(string(out), "twofa has no command") {
			t.Errorf("%q: exit %d, %s", args, code, out)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q: a store was made", args)
		}
	}
}

func TestImportAndExport(t *testing.T) {
	dir := importTwo(t)
	exported := runIn(t, dir, "", "users", "export")
	if exported.code != exitDone || strings.Count(exported.stdout, "\n") != 3 || strings.Contains(strings.ToLower(exported.stderr), "canary") ||
		!strings.Contains(exported.stdout, "CANARYKEYCANARYKEYCANARYKEYCANAR") || !strings.Contains(exported.stderr, "wrote 2 users in 2 lines, skipped 0; ") {
		t.Errorf("export: exit %d, stdout %q, stderr %q", exported.code, exported.stdout, exported.stderr)
	}
	file := filepath.Join(t.TempDir(), "users.csv")
	if err := os.WriteFile(file, []byte(exported.stdout+"canary.bad,1890,,,,,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		stdin string
		args  []string
		want  string
		code  int
	}{
		{exported.stdout, []string{"-"}, "read 2, created 0, changed 0, unchanged 2, skipped 0; ", exitDone},
		{"", []string{file}, "line 4: skipped: phone: ", exitSkipped},
		{"", []string{"--", file}, "read 3, created 0, changed 0, unchanged 2, skipped 1; ", exitSkipped},
		{"", []string{file + ".missing"}, "no such file", exitStopped},
		{"name,phone,email,secret,canary\n", []string{"-"}, "nothing was taken in: column 5", exitStopped},
	} {
		res := runIn(t, dir, tc.stdin, append([]string{"users", "import"}, tc.args...)...)
		if res.code != tc.code || res.stdout != "" || !strings.Contains(res.stderr, tc.want) || strings.Contains(strings.ToLower(res.stderr), "canary") {
			t.Errorf("import %q: exit %d, stdout %q, stderr %q", tc.args, res.code, res.stdout, res.stderr)
		}
	}
}

// Without -directory, both commands are about the directory main. An export says how
// many users of which other directories are not in the file.
func TestImportAndExportOfADirectory(t *testing.T) {
	dir := importTwo(t)
	shop := "name,phone,email,secret\ncanary.one,,shop@example.com,\n"
	for _, want := range []string{"created 1, changed 0, unchanged 0", "created 0, changed 0, unchanged 1"} {
		if res := runIn(t, dir, shop, "users", "import", "-directory", "shop", "-"); res.code != exitDone || !strings.Contains(res.stderr, want) {
			t.Fatalf("exit %d: %s", res.code, res.stderr)
		}
	}
	for args, want := range map[string]struct {
		users         string
		stdout, other string
		not           string
	}{
		"":                 {"wrote 2 users in 2 lines, skipped 0; ", "canary@example.com", "left out 1 users of the directory shop: export them with -directory shop\n", "shop@example.com"},
		"-directory main":  {"wrote 2 users in 2 lines, skipped 0; ", "canary@example.com", "left out 1 users of the directory shop: export them with -directory shop\n", "shop@example.com"},
		"-directory shop":  {"wrote 1 users in 1 lines, skipped 0; ", "shop@example.com", "left out 2 users of the directory main: export them with -directory main\n", "canary@example.com"},
		"-directory other": {"wrote 0 users in 0 lines, skipped 0; ", "name,", "left out 2 users of the directory main: export them with -directory main\nleft out 1 users of the directory shop: ", "@"},
	} {
		res := runIn(t, dir, "", append([]string{"users", "export"}, strings.Fields(args)...)...)
		if res.code != exitDone || !strings.Contains(res.stdout, want.stdout) || strings.Contains(res.stdout, want.not) ||
			!strings.Contains(res.stderr, want.users) || !strings.Contains(res.stderr, want.other) || strings.Contains(res.stderr, "canary") {
			t.Errorf("export %s: exit %d, stdout %q, stderr %q", args, res.code, res.stdout, res.stderr)
		}
	}
}

// The file is for its owner alone, even if it replaces one that was not.
func TestExportToAFile(t *testing.T) {
	dir, folder := importTwo(t), t.TempDir()
	path := filepath.Join(folder, "users.csv")
	want := runIn(t, dir, "", "users", "export").stdout
	for range 2 {
		res := runIn(t, dir, "", "users", "export", "-o", path)
		text, err := os.ReadFile(path)
		if res.code != exitDone || res.stdout != "" || err != nil || string(text) != want {
			t.Errorf("exit %d, stdout %q, stderr %q; the file: %q, %v", res.code, res.stdout, res.stderr, text, err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v, want 600", info.Mode(), err)
		}
		if names := files(t, folder); !slices.Equal(names, []string{"users.csv"}) {
			t.Errorf("the folder has %q", names)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// An export that fails leaves neither a new file nor a part of one, and does not
// change a file that was there.
func TestAnExportThatFailsLeavesNoFile(t *testing.T) {
	dir := importTwo(t)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name, store, path, want string
		ctx                     context.Context
	}{
		{"bad settings", "oracle", "new.csv", "settings: TWOFA_STORE", t.Context()},
		{"bad settings, a file", "oracle", "old.csv", "settings: TWOFA_STORE", t.Context()},
		{"a locked store", "bolt", "new.csv", "Stop the service first", t.Context()},
		{"a signal", "bolt", "new.csv", "stopped by a signal. The file was not written.", canceled},
		{"a signal, a file", "bolt", "old.csv", "stopped by a signal. The file was not written.", canceled},
		{"no folder", "bolt", "missing/new.csv", "no such file", t.Context()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("TWOFA_STORE", tc.store)
			if tc.name == "a locked store" {
				table, err := boltstore.Open(filepath.Join(dir, "twofa.db"))
				if err != nil {
					t.Fatal(err)
				}
				defer table.Close()
			}
			folder := t.TempDir()
			old := filepath.Join(folder, "old.csv")
			if err := os.WriteFile(old, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			stderr, code := runWith(tc.ctx, t, dir, "", nil, "users", "export", "-o", filepath.Join(folder, tc.path))
			if code != exitStopped || !strings.Contains(stderr, tc.want) {
				t.Errorf("exit %d: %s", code, stderr)
			}
			if text, err := os.ReadFile(old); err != nil || string(text) != "old" {
				t.Errorf("the file that was there: %q, %v", text, err)
			}
			if names := files(t, folder); !slices.Equal(names, []string{"old.csv"}) {
				t.Errorf("the folder has %q", names)
			}
		})
	}
}

func TestExportToATerminalNeedsForce(t *testing.T) {
	dir := importTwo(t)
	for _, tc := range []struct {
		device string
		args   []string
		code   int
		want   string
	}{
		{"/dev/ptmx", nil, exitStopped, "this is a terminal"},
		{"/dev/ptmx", []string{"-force"}, exitDone, "wrote 2 users"},
		{"/dev/ptmx", []string{"-o", filepath.Join(t.TempDir(), "users.csv")}, exitDone, "wrote 2 users"},
		{os.DevNull, nil, exitDone, "wrote 2 users"},
	} {
		device, err := os.OpenFile(tc.device, os.O_RDWR, 0)
		if err != nil {
			t.Skip(err)
		}
		stderr, code := runWith(t.Context(), t, dir, "", device, append([]string{"users", "export"}, tc.args...)...)
		device.Close()
		if code != tc.code || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s %q: exit %d, %s", tc.device, tc.args, code, stderr)
		}
		if refused := strings.Contains(stderr, "wrote") || strings.Contains(stderr, "store:"); refused == (tc.code == exitStopped) {
			t.Errorf("%s %q: the store was opened before the refusal, or not at all: %s", tc.device, tc.args, stderr)
		}
	}
}
