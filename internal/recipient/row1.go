package recipient

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/row"
)

// readVerification1 reads a verification of version 1, which has one channel and
// the number of its messages. So codes that are pending during an upgrade stay
// valid.
func readVerification1(s *cryptobyte.String) (v otp.Verification, ok bool) {
	var by channel.Channel
	var length, alphabet, status uint8
	var checks, sends uint16
	ok = row.ReadText(s, &v.ID) &&
		row.ReadText(s, &v.Purpose) &&
		row.ReadText(s, &by) &&
		row.ReadText(s, &v.Transaction.Amount) &&
		row.ReadText(s, &v.Transaction.Payee) &&
		s.CopyBytes(v.Nonce[:]) &&
		s.CopyBytes(v.Key[:]) &&
		s.ReadUint8(&length) &&
		s.ReadUint8(&alphabet) &&
		s.ReadUint8(&status) &&
		row.ReadTime(s, &v.CreatedAt) &&
		row.ReadTime(s, &v.ExpiresAt) &&
		row.ReadTime(s, &v.EndedAt) &&
		s.ReadUint16(&checks) &&
		s.ReadUint16(&sends)
	if !ok || sends > otp.MaxCounted {
		return v, false
	}
	v.Workflow = []channel.Channel{by}
	v.Attempts = slices.Repeat([]otp.Attempt{{Channel: by, At: v.CreatedAt, Status: otp.Queued}}, int(sends))
	v.Checks = int(checks)
	return v, setNumbered(&v, length, alphabet, status)
}
