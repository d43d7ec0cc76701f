package user

import (
	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/hostcall"
	"twofa/internal/row"
)

// Call is the last call of the Functions host that changed the user's factors or
// addresses. The host may deliver one call many times: all its deliveries count as one
// change. The zero Call is none.
type Call struct {
	ID hostcall.ID
	// Delivery is random: it names the delivery of the call that began last. An earlier
	// delivery must not overwrite what this one makes, because the client gets the answer
	// of the last one.
	Delivery [8]byte
	// Told is true once a delivery has begun to send the notice of the change.
	Told bool
}

// Is reports whether the call has that id. No call has the zero ID.
func (c Call) Is(id hostcall.ID) bool { return id != hostcall.ID{} && id == c.ID }

// addCall writes the call behind the rest of the row.
func addCall(b *cryptobyte.Builder, c Call) {
	b.AddBytes(c.ID[:])
	b.AddBytes(c.Delivery[:])
	row.AddBool(b, c.Told)
}

// readCall reads what addCall wrote.
func readCall(s *cryptobyte.String, c *Call) bool {
	return s.CopyBytes(c.ID[:]) && s.CopyBytes(c.Delivery[:]) && row.ReadBool(s, &c.Told)
}
