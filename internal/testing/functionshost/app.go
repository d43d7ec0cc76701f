package functionshost

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	defaultRoutePrefix = "api"
	defaultInitTimeout = 30 * time.Second
	// defaultFunctionTimeout is the default of every plan except Consumption.
	defaultFunctionTimeout = 30 * time.Minute
	// unlimited stands for a functionTimeout of -1.
	unlimited = 100 * 365 * 24 * time.Hour
)

// app is a function app, as its files describe it.
type app struct {
	root            string
	executable      string // as written in host.json
	workDir         string
	arguments       []string // %VAR% not yet expanded
	initTimeout     time.Duration
	functionTimeout time.Duration
	functions       []*function // in load order: sorted by folder name
}

// function is one function folder.
type function struct {
	name    string
	trigger string // the trigger binding's name
	timer   bool
	// The rest is for HTTP triggers.
	template string // the full route as written, prefix included
	route    route
	methods  []string // upper case; nil means all
	level    authLevel
}

type hostFile struct {
	Version         string `json:"version"`
	FunctionTimeout string `json:"functionTimeout"`
	Extensions      struct {
		HTTP struct {
			RoutePrefix *string `json:"routePrefix"`
		} `json:"http"`
	} `json:"extensions"`
	CustomHandler struct {
		Description *struct {
			DefaultExecutablePath string   `json:"defaultExecutablePath"`
			DefaultWorkerPath     string   `json:"defaultWorkerPath"`
			WorkingDirectory      string   `json:"workingDirectory"`
			Arguments             []string `json:"arguments"`
			WorkerArguments       []string `json:"workerArguments"`
		} `json:"description"`
		EnableForwardingHTTPRequest bool   `json:"enableForwardingHttpRequest"`
		EnableProxyingHTTPRequest   bool   `json:"enableProxyingHttpRequest"`
		InitializationTimeout       string `json:"initializationTimeout"`
	} `json:"customHandler"`
}

type binding struct {
	Type      string   `json:"type"`
	Direction string   `json:"direction"`
	Name      string   `json:"name"`
	AuthLevel string   `json:"authLevel"`
	Methods   []string `json:"methods"`
	Route     string   `json:"route"`
	Schedule  string   `json:"schedule"`
}

// load reads the app at root. It reports all faults together.
func load(root string) (*app, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	var file hostFile
	if err := readJSON(filepath.Join(root, "host.json"), &file); err != nil {
		return nil, err
	}
	a, err := file.app(root)
	faults := []error{err}

	prefix := defaultRoutePrefix
	if p := file.Extensions.HTTP.RoutePrefix; p != nil {
		prefix = strings.Trim(*p, "/")
	}
	// ReadDir sorts by name. The host loads functions in this order.
	folders, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		path := filepath.Join(root, folder.Name(), "function.json")
		if _, err := os.Stat(path); err != nil {
			continue // a file, or a folder that is not a function
		}
		var file struct {
			Bindings []binding `json:"bindings"`
		}
		err := readJSON(path, &file)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		f, err := newFunction(folder.Name(), prefix, file.Bindings)
		if err != nil {
			faults = append(faults, fmt.Errorf("function %s: %w", folder.Name(), err))
			continue
		}
		a.functions = append(a.functions, f)
	}
	faults = append(faults, sameRoutes(a.functions))
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return a, nil
}

// app checks host.json. It returns an app even if there are faults, so that load also
// finds the faults of the functions.
func (f *hostFile) app(root string) (*app, error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("host.json: "+format, args...))
	}
	if f.Version != "2.0" {
		fault("version is %q, want \"2.0\"", f.Version)
	}
	a := &app{root: root, workDir: root, initTimeout: defaultInitTimeout, functionTimeout: defaultFunctionTimeout}
	handler := f.CustomHandler
	switch d := handler.Description; {
	case d == nil:
		fault("customHandler.description is missing")
	default:
		if d.DefaultExecutablePath == "" {
			fault("customHandler.description.defaultExecutablePath is missing")
		}
		if d.DefaultWorkerPath != "" || len(d.WorkerArguments) > 0 {
			fault("defaultWorkerPath and workerArguments are not covered by this stand-in")
		}
		a.executable, a.arguments = d.DefaultExecutablePath, d.Arguments
		if filepath.IsAbs(d.WorkingDirectory) {
			a.workDir = d.WorkingDirectory
		} else {
			a.workDir = filepath.Join(root, d.WorkingDirectory)
		}
	}
	if !handler.EnableProxyingHTTPRequest || handler.EnableForwardingHTTPRequest {
		fault("this stand-in covers enableProxyingHttpRequest only")
	}
	if s := handler.InitializationTimeout; s != "" {
		d, err := parseTimeSpan(s)
		if err != nil {
			fault("initializationTimeout: %w", err)
		}
		a.initTimeout = d
	}
	switch s := f.FunctionTimeout; s {
	case "":
	case "-1":
		a.functionTimeout = unlimited
	default:
		d, err := parseTimeSpan(s)
		if err != nil {
			fault("functionTimeout: %w", err)
		}
		a.functionTimeout = d
	}
	return a, errors.Join(faults...)
}

var functionName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,127}$`)

func newFunction(name, prefix string, bindings []binding) (*function, error) {
	if !functionName.MatchString(name) {
		return nil, fmt.Errorf("the name does not match %s", functionName)
	}
	var triggers []binding
	outputs := 0
	names := make(map[string]bool)
	for _, b := range bindings {
		key := strings.ToLower(b.Name)
		if b.Name == "" {
			return nil, fmt.Errorf("a binding of type %s has no name", b.Type)
		}
		if names[key] {
			return nil, fmt.Errorf("the binding name %s is used twice", b.Name)
		}
		names[key] = true
		switch {
		case strings.HasSuffix(strings.ToLower(b.Type), "trigger"):
			triggers = append(triggers, b)
		case strings.EqualFold(b.Type, "http") && strings.EqualFold(b.Direction, "out"):
			outputs++
		default:
			return nil, fmt.Errorf("a binding of type %s is not covered by this stand-in", b.Type)
		}
	}
	if len(triggers) != 1 {
		return nil, fmt.Errorf("there are %d triggers, want 1", len(triggers))
	}
	trigger := triggers[0]
	f := &function{name: name, trigger: trigger.Name}
	switch {
	case strings.EqualFold(trigger.Type, "timerTrigger"):
		f.timer = true
		// A schedule has five or six fields (NCRONTAB).
		if n := len(strings.Fields(trigger.Schedule)); n != 5 && n != 6 {
			return nil, fmt.Errorf("schedule %q is not an NCRONTAB expression", trigger.Schedule)
		}
		return f, nil
	case strings.EqualFold(trigger.Type, "httpTrigger"):
		if outputs != 1 || len(bindings) != 2 {
			return nil, errors.New("proxying needs exactly one httpTrigger and one http output")
		}
		return f, f.setHTTP(prefix, trigger)
	default:
		return nil, fmt.Errorf("a trigger of type %s is not covered by this stand-in", trigger.Type)
	}
}

func (f *function) setHTTP(prefix string, b binding) (err error) {
	if f.level, err = parseAuthLevel(b.AuthLevel); err != nil {
		return err
	}
	for _, m := range b.Methods {
		f.methods = append(f.methods, strings.ToUpper(m))
	}
	own := strings.Trim(b.Route, "/")
	if own == "" {
		own = f.name
	}
	for _, reserved := range []string{"admin", "runtime"} {
		if strings.HasPrefix(strings.ToLower(own), reserved) {
			return fmt.Errorf("route %s conflicts with the host's own /%s", own, reserved)
		}
	}
	f.template = strings.Trim(prefix+"/"+own, "/")
	f.route, err = parseRoute(f.template)
	return err
}

// storageSettings are the settings that name the app's storage. A timer needs one of
// them, because the host keeps the timer's lock and schedule in that storage.
var storageSettings = []string{"AzureWebJobsStorage", "AzureWebJobsStorage__accountName", "AzureWebJobsStorage__tableServiceUri"}

// checkStorage returns an error if there is a timer and no storage.
func (a *app) checkStorage(env environment) error {
	for _, name := range storageSettings {
		if env[name] != "" {
			return nil
		}
	}
	for _, f := range a.functions {
		if f.timer {
			return fmt.Errorf("function %s: a timer needs the setting %s (local.settings.json counts in CoreTools mode only)", f.name, storageSettings[0])
		}
	}
	return nil
}

// function returns the function of that name, or nil.
func (a *app) function(name string) *function {
	for _, f := range a.functions {
		if f.name == name {
			return f
		}
	}
	return nil
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

var timeSpan = regexp.MustCompile(`^(?:(\d{1,5})\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d{1,7})?$`)

// parseTimeSpan reads .NET's [d.]hh:mm:ss[.fffffff].
func parseTimeSpan(s string) (time.Duration, error) {
	m := timeSpan.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is not a time span (hh:mm:ss)", s)
	}
	var parts [3]int
	for i := range parts {
		parts[i], _ = strconv.Atoi(m[i+2]) // two digits, as the pattern says
	}
	if parts[0] > 23 || parts[1] > 59 || parts[2] > 59 {
		return 0, fmt.Errorf("%q is not a time span (hh:mm:ss)", s)
	}
	days, _ := strconv.Atoi(m[1])                       // empty or at most five digits
	fraction, _ := time.ParseDuration("0" + m[5] + "s") // empty or at most seven digits
	return time.Duration(days)*24*time.Hour + time.Duration(parts[0])*time.Hour +
		time.Duration(parts[1])*time.Minute + time.Duration(parts[2])*time.Second + fraction, nil
}
