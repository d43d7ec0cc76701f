// Package reqlog collects what one request's log line says, from wherever it
// becomes known. What is added must be safe to log: masked addresses only,
// never a code, a key or another's error text.
package reqlog

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"twofa/internal/address"
	"twofa/internal/otp"
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

// Add puts attributes on the request's line; without one it does nothing. An
// attribute takes the place of an earlier one of the same key.
func Add(ctx context.Context, attrs ...slog.Attr) {
	line, ok := ctx.Value(contextKey{}).(*Line)
	if !ok {
		return
	}
	line.mu.Lock()
	defer line.mu.Unlock()
	for _, a := range attrs {
		sameKey := func(b slog.Attr) bool { return b.Key == a.Key }
		if i := slices.IndexFunc(line.attrs, sameKey); i >= 0 {
			line.attrs[i] = a
		} else {
			line.attrs = append(line.attrs, a)
		}
	}
}

// Address puts on the line what may be told of an address.
func Address(ctx context.Context, a address.Address) {
	if !a.IsEmail() {
		Add(ctx, slog.String("country", a.Number.Region))
	}
	Add(ctx, slog.String("to", a.Masked()))
}

// Verification puts on the line what may be told of a verification and of its
// recipient. It does nothing for one that was not found.
func Verification(ctx context.Context, r otp.Recipient, v otp.Verification) {
	if v.ID == "" {
		return
	}
	if a, err := address.Parse(r.Address); err == nil {
		Address(ctx, a)
	}
	Add(ctx, slog.String("channel", v.Channel()), slog.String("verification", string(v.ID)), slog.String("state", string(v.Status)))
}

// Attrs returns what was added, in order.
func (l *Line) Attrs() []slog.Attr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.attrs)
}
