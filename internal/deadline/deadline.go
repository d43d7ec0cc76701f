// Package deadline has the time limits of a request, and derives from them the longest
// that a request can take. It has nothing but these constants, so that one page shows
// how they fit together. A limit of a request that is not here must be shorter than one
// that is.
//
// The Functions host ends the process when a call takes as long as functionTimeout of
// host.json (60 s): whatever else is under way in the process is lost then. The host
// counts from the first delivery of a call. If the connection of a call without a body
// breaks, the host delivers the call again. So two deliveries, the pauses between them
// and a margin of 10 s have to be shorter than functionTimeout:
//
//	Reading    10 s   headers and body have arrived, or the answer is 400
//	Sending    15 s   a start or resend: storage and provider, from its first storage call
//	UnderWay   17 s   Sending, and 2 s for what Sending does not interrupt
//	Request    20 s   reading, waiting for a turn or for another delivery, storage,
//	                  providers. UnderWay is shorter by 3 s, in which the delivery that
//	                  has waited reads the result
//	Longest    24 s   Request, 2 s for what Request does not interrupt, 2 s for writing
//	Call       50 s   two deliveries of 24 s, and 2 s between them
package deadline

import "time"

const (
	// Reading limits the arrival of a request, headers and body. It counts into Request.
	Reading = 10 * time.Second

	// Storage is the longest that one call of a store takes, with its repetitions. A
	// list takes longer; only the purge makes one.
	Storage = 5 * time.Second

	// Sending limits a start or a resend from its first storage call to its last one. It
	// leaves a provider's own limit (12 s) and some seconds for storage.
	Sending = 15 * time.Second

	// UnderWay is how long a start or resend that was stored counts as under way. It is
	// longer than Sending: what cannot be interrupted has ended by then, and if nothing
	// was stored about its end, its process has died.
	UnderWay = Sending + 2*time.Second

	// Request limits all work of one delivery of a request, from its headers on: reading
	// the body, waiting for a turn or for another delivery, storage and providers. A
	// delivery that waits for another one that died reads the result within Request.
	Request = UnderWay + 3*time.Second

	// Sweep limits the work of one run of the purge. The write of the cursor follows, so
	// both together are shorter than Request.
	Sweep = Request - Storage - time.Second

	// Uninterrupted is the longest work that goes on after Request has ended: one slow
	// hash of a recovery code, or one QR code.
	Uninterrupted = 2 * time.Second

	// Writing limits the writing of an answer that is ready. The largest answers have
	// less than 100 KiB.
	Writing = 2 * time.Second

	// Longest is the longest that one delivery of a request can take, from its headers to
	// the last byte of the answer. The server closes the connection then.
	Longest = Request + Uninterrupted + Writing

	// Redelivery is the longest that the host waits before it delivers a call again.
	Redelivery = 2 * time.Second

	// Call is the longest that a call can take whose first delivery dies at the last
	// moment, and whose second one waits as long as it may.
	Call = Longest + Redelivery + Longest

	// Margin is by how much the host's functionTimeout has to be longer than Call.
	Margin = 10 * time.Second
)
