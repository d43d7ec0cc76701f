// Package reqlog collects what one request's log line says, from wherever it
// becomes known. What is added must be safe to log: masked addresses only,
// never a code, a key or another's error text.
package reqlog

import (
	"context"
	"log/slog"
	"sync"
)

type contextKey struct{}

// Line is the attributes of one request's log line. It is safe for concurrent use.
type Line struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

// With returns a context that Add writes to, and the line it writes.
func With(ctx context.Context) (context.Context, *Line) {
	line := new(Line)
	return context.WithValue(ctx, contextKey{}, line), line
}

// Add puts attributes on the request's line; without one it does nothing.
func Add(ctx context.Context, attrs ...slog.Attr) {
	line, ok := ctx.Value(contextKey{}).(*Line)
	if !ok {
		return
	}
	line.mu.Lock()
	defer line.mu.Unlock()
	line.attrs = append(line.attrs, attrs...)
}

// Attrs returns what was added, in order.
func (l *Line) Attrs() []slog.Attr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.attrs
}
