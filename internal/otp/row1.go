package otp

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/rowcodec"
)

// readVerification1 reads a verification of rowVersion1, which had one channel
// and the number of its messages. Codes that were under way when a new version
// was published go on working.
func readVerification1(s *cryptobyte.String) (v Verification, ok bool) {
	var id, channel string
	var length, alphabet, status uint8
	var checks, sends uint16
	ok = rowcodec.ReadText(s, &id) &&
		rowcodec.ReadText(s, &v.Purpose) &&
		rowcodec.ReadText(s, &channel) &&
		rowcodec.ReadText(s, &v.Context.Amount) &&
		rowcodec.ReadText(s, &v.Context.Payee) &&
		s.CopyBytes(v.Nonce[:]) &&
		s.CopyBytes(v.Key[:]) &&
		s.ReadUint8(&length) &&
		s.ReadUint8(&alphabet) &&
		s.ReadUint8(&status) &&
		rowcodec.ReadTime(s, &v.CreatedAt) &&
		rowcodec.ReadTime(s, &v.ExpiresAt) &&
		rowcodec.ReadTime(s, &v.EndedAt) &&
		s.ReadUint16(&checks) &&
		s.ReadUint16(&sends)
	if !ok || sends > MaxCounted {
		return v, false
	}
	v.Workflow = []string{channel}
	v.Attempts = slices.Repeat([]Attempt{{Channel: channel, At: v.CreatedAt, Status: Queued}}, int(sends))
	v.Checks = int(checks)
	return v, v.setCommon(id, length, alphabet, status)
}
