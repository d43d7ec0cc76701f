// Package hostcall carries the Functions host's id of a call to those who have to
// recognize a repetition. If the connection of a call without a body breaks, the host
// delivers the call again, up to 40 times, each time with the same id
// (x-ms-invocation-id).
//
// Only the HTTP edge may set the id, and only under the host, which overwrites the
// header: on its own, anybody can send it.
package hostcall

import (
	"context"
	"crypto/sha256"
)

// ID is a hash of the host's id of a call. The zero ID is none: the call did not come
// through the host.
type ID [16]byte

type key struct{}

// With returns a context of the call with that id of the host. "": none.
func With(ctx context.Context, id string) context.Context {
	if id == "" {
		return ctx
	}
	return context.WithValue(ctx, key{}, NewID(id))
}

// NewID returns the ID of a call with that id of the host, which is not "".
//
// The hash is over a null byte, too, which no idempotency key of a client has: no ID
// equals the hash of a client's key.
func NewID(id string) ID {
	sum := sha256.Sum256([]byte("x-ms-invocation-id\x00" + id))
	return ID(sum[:16])
}

// From returns the ID of the call of a context.
func From(ctx context.Context) ID {
	id, _ := ctx.Value(key{}).(ID)
	return id
}
