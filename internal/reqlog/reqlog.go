// Package reqlog collects the attributes of a request's log line while the request
// is handled. docs/log.md describes every attribute. Everything that is added must be
// safe to log: masked addresses, and never a code, a key or another program's error
// text.
package reqlog

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"twofa/internal/address"
	"twofa/internal/otp"
)

type contextKey struct{}

// Line is the attributes of one request's log line. It is safe for concurrent use.
type Line struct {
	mu       sync.Mutex
	attrs    []slog.Attr
	provider time.Duration // in sending, over all messages
}

// With returns a context with a new line, to which Add writes.
func With(ctx context.Context) (context.Context, *Line) {
	line := &Line{attrs: make([]slog.Attr, 0, 24)} // as many as most lines have
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
	Purpose(ctx, v.Purpose)
	if v.Client != "" { // a provider's report names no client
		Add(ctx, slog.String("client", v.Client))
	}
	if v.Origin != otp.OriginServer {
		Add(ctx, slog.String("origin", v.Origin.String()))
	}
	Add(ctx, slog.String("channel", string(v.Channel())), slog.String("verification", string(v.ID)), slog.String("state", string(v.Status)))
}

// Purpose puts a valid purpose on the line. It leaves out one with four digits in a row:
// a client may have built a number or a code into it.
func Purpose(ctx context.Context, purpose string) {
	digits := 0
	for _, c := range purpose {
		if digits++; c < '0' || c > '9' {
			digits = 0
		}
		if digits == 4 {
			return
		}
	}
	if purpose != "" {
		Add(ctx, slog.String("purpose", purpose))
	}
}

// Sent puts on the line that a message was given to a provider, "" if it has no name, and
// how long the provider took. The line has the last provider, and the time of all
// messages together.
func Sent(ctx context.Context, provider string, took time.Duration) {
	line, ok := ctx.Value(contextKey{}).(*Line)
	if !ok {
		return
	}
	line.mu.Lock()
	line.provider += took
	total := line.provider
	line.mu.Unlock()
	if provider != "" {
		Add(ctx, slog.String("provider", provider))
	}
	Add(ctx, Milliseconds("provider_ms", total))
}

// Milliseconds returns an attribute with a duration in milliseconds, with three decimals.
func Milliseconds(key string, d time.Duration) slog.Attr {
	return slog.Float64(key, float64(d.Microseconds())/1000)
}

// Request returns the attributes that say which request of which client it is. Other lines
// of the log that a request causes begin with them.
func Request(ctx context.Context) (attrs []slog.Attr) {
	line, ok := ctx.Value(contextKey{}).(*Line)
	if !ok {
		return nil
	}
	for _, a := range line.Attrs() {
		if a.Key == "request_id" || a.Key == "client" {
			attrs = append(attrs, a)
		}
	}
	return attrs
}

// Attrs returns the attributes in the order in which they were added.
func (l *Line) Attrs() []slog.Attr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.attrs)
}
