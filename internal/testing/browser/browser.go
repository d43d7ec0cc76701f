// Package browser drives Debian's chromium in tests: one process for a test binary, and
// cookies of its own for each [Browser].
//
// A Browser records what its page did, so that a test can show that nothing went wrong: see
// Browser.NoSurprises. All traffic stays on loopback.
package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	path = "/usr/bin/chromium"
	// startTimeout and waitTimeout are generous: two loaded cores are slow.
	startTimeout = time.Minute
	waitTimeout  = 30 * time.Second
)

// Options say what kind of browser it is. The zero Options are a desktop in English, in the
// light theme, with script.
type Options struct {
	// Width and Height are of the window in CSS pixels, 1280 and 900 if they are 0.
	Width, Height int64
	// Scale is how many pixels of a screenshot a CSS pixel has, 1 if it is 0.
	Scale    float64
	Language string // Accept-Language, "en" for ""
	Dark     bool
	NoScript bool
}

// Request is one request of a page.
type Request struct{ URL, Method string }

// Browser is one browser with one tab.
type Browser struct {
	t      testing.TB
	ctx    context.Context
	window emulation.SetDeviceMetricsOverrideParams

	mu       sync.Mutex
	requests []Request
	faults   []string // console errors, exceptions, violations of the policy
}

// running is true if chromium was started.
var running atomic.Bool

var process = sync.OnceValues(func() (context.Context, error) {
	if _, err := exec.LookPath(path); err != nil {
		return nil, fmt.Errorf("chromium is missing: run make tools (%w)", err)
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU}
	options = append(options, chromedp.DefaultExecAllocatorOptions[:]...)
	for _, flag := range []string{"disable-quic", "disable-component-update", "no-proxy-server", "hide-scrollbars"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	options = append(options, chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"))
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator, chromedp.WithLogf(func(string, ...any) {}), chromedp.WithErrorf(func(string, ...any) {}))
	running.Store(true)
	started := make(chan error, 1)
	go func() { started <- chromedp.Do(ctx, chromedp.Navigate("about:blank")) }()
	select {
	case err := <-started:
		return ctx, err
	case <-time.After(startTimeout):
		return nil, fmt.Errorf("chromium did not start within %s", startTimeout)
	}
})

// Close ends chromium if a test used it. TestMain calls it after the tests.
func Close() {
	if !running.Load() {
		return
	}
	if ctx, err := process(); err == nil {
		_ = chromedp.Cancel(ctx)
	}
}

// New returns a browser without cookies.
func New(t testing.TB, o Options) *Browser {
	t.Helper()
	parent, err := process()
	if err != nil {
		t.Fatal(err)
	}
	return open(t, parent, o, chromedp.WithNewBrowserContext())
}

// NewTab returns another tab with the same cookies.
func (b *Browser) NewTab(o Options) *Browser {
	b.t.Helper()
	return open(b.t, b.ctx, o)
}

func open(t testing.TB, parent context.Context, o Options, how ...chromedp.ContextOption) *Browser {
	t.Helper()
	b := &Browser{t: t}
	ctx, cancel := chromedp.NewContext(parent, append(how, chromedp.WithListener(b.record))...)
	t.Cleanup(cancel)
	b.ctx = ctx
	b.do("open a tab", chromedp.Navigate("about:blank"))
	b.be(o)
	return b
}

// be makes the tab what the options say.
func (b *Browser) be(o Options) {
	b.t.Helper()
	width, height, scale, language, theme := o.Width, o.Height, o.Scale, o.Language, "light"
	if width == 0 {
		width, height = 1280, 900
	}
	if height == 0 {
		height = 844
	}
	if scale == 0 {
		scale = 1
	}
	if language == "" {
		language = "en"
	}
	if o.Dark {
		theme = "dark"
	}
	b.window = emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: scale}
	b.resize(b.window)
	agent, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("navigator.userAgent"))
	b.must("read the user agent", err)
	_, err = chromedp.Call(b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: language})
	b.must("set the language", err)
	_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
	b.must("set the theme", err)
	b.script(!o.NoScript)
}

func (b *Browser) resize(to emulation.SetDeviceMetricsOverrideParams) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, to)
	b.must("set the window", err)
}

// script switches the page's own script on or off.
func (b *Browser) script(on bool) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
	b.must("switch script", err)
}

// record notes what the page did.
func (b *Browser) record(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, Request{e.Request.URL, e.Request.Method})
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			text, _ := json.Marshal(e.Args)
			b.faults = append(b.faults, "console: "+string(text))
		}
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, "exception: "+e.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Source == cdplog.EntrySourceSecurity || e.Entry.Source == cdplog.EntrySourceViolation {
			b.faults = append(b.faults, fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL))
		}
	}
}

// Requests are all requests of the tab until now.
func (b *Browser) Requests() []Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

// Faults are the errors of the console, the exceptions and the violations of the policy until
// now.
func (b *Browser) Faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults)
}

// NoSurprises fails the test if something went wrong in the page, or if it asked another
// origin for anything.
func (b *Browser) NoSurprises(origins ...string) {
	b.t.Helper()
	for _, fault := range b.Faults() {
		b.t.Errorf("the page has an error: %s", fault)
	}
	for _, r := range b.Requests() {
		u, err := url.Parse(r.URL)
		if err != nil || u.Scheme == "data" || u.Scheme == "about" {
			continue
		}
		if own := u.Scheme + "://" + u.Host; !slices.Contains(origins, own) {
			b.t.Errorf("a request to another origin: %s %s", r.Method, own)
		}
	}
}

func (b *Browser) must(what string, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("the browser cannot %s: %v", what, err)
	}
}

// timed returns a context that ends after a wait.
func (b *Browser) timed() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, waitTimeout)
}

func (b *Browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := b.ctx, context.CancelFunc(func() {})
	if what != "open a tab" { // a timeout of the first call would end the browser
		ctx, cancel = b.timed()
	}
	defer cancel()
	b.must(what, chromedp.Do(ctx, steps...))
}

// Screenshot writes a picture of the whole page.
func (b *Browser) Screenshot(path string) {
	b.t.Helper()
	ctx, cancel := b.timed()
	defer cancel()
	// The window is made as high as the page: a picture beyond the window is shifted if the
	// page is written from right to left.
	tall := b.window
	tall.Height = max(tall.Height, Eval[int64](b, "document.scrollingElement.scrollHeight"))
	b.resize(tall)
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	b.must("take a screenshot", err)
	b.resize(b.window)
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// Eval evaluates an expression in the page, also while its own script is off.
func Eval[T any](b *Browser, expression string) (value T) {
	b.t.Helper()
	ctx, cancel := b.timed()
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	b.must("evaluate "+strings.SplitN(expression, "\n", 2)[0], err)
	return value
}
