package browser

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axe is axe-core, which make tools installs.
var axe = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../../tools/node_modules/axe-core/axe.min.js"))
	return string(text), err
})

// violations runs axe and returns one line for each violation.
const violations = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"]}).then(r =>
	r.violations.map(v => v.id + " (" + v.impact + "): " + v.help + "\n" + v.nodes.map(n => "    " + n.html.slice(0, 200) + "\n    " + n.failureSummary.replace(/\n/g, " ")).join("\n")).join("\n"))`

// Violations are what axe-core finds in the page, "" for nothing.
func (b *Browser) Violations() string {
	b.t.Helper()
	text, err := axe()
	if err != nil {
		b.t.Fatalf("axe-core is missing: run make tools (%v)", err)
	}
	ctx, cancel := b.timed()
	defer cancel()
	_, err = chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, cdpruntime.Evaluate, cdpruntime.EvaluateParams{Expression: text})
		return chromedp.Void{}, err
	})
	b.must("load axe-core", err)
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](violations, chromedp.EvalAwaitPromise))
	b.must("run axe-core", err)
	return found
}

// Axe fails the test if axe-core finds something.
func (b *Browser) Axe() {
	b.t.Helper()
	if found := b.Violations(); found != "" {
		b.t.Errorf("axe-core finds in %s:\n%s", strings.SplitN(b.URL(), "?", 2)[0], found)
	}
}
