// Package reqlog collects the attributes of a request's log line while the request
// is handled. Everything that is added must be safe to log: masked addresses, and
// never a code, a key or another program's error text.
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

// With returns a context with a new line, to which Add writes.
func With(ctx context.Context) (context.Context, *Line) {
	line := new(Line)
	return context.WithValue(ctx, contextKey{}, line), line
}

// Add puts attributes on the context's line. It does nothing if the context has
// none. An attribute replaces an earlier one with the same key.
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

// Address puts an address on the line: masked, and with the country of a number.
func Address(ctx context.Context, a address.Address) {
	if !a.IsEmail() {
		Add(ctx, slog.String("country", a.Number.Region))
	}
	Add(ctx, slog.String("to", a.Masked()))
}

// Verification puts a verification on the line, without its secrets, and the masked
// address of its recipient. It does nothing for the zero Verification.
func Verification(ctx context.Context, r otp.Recipient, v otp.Verification) {
	if v.ID == "" {
		return
	}
	if a, err := address.Parse(r.Address); err == nil {
		Address(ctx, a)
	}
	Add(ctx, slog.String("channel", string(v.Channel())), slog.String("verification", string(v.ID)), slog.String("state", string(v.Status)))
}

// Attrs returns the attributes in the order in which they were added.
func (l *Line) Attrs() []slog.Attr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.attrs)
}
