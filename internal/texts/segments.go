package texts

import "strings"

// The GSM 7 bit default alphabet without the escape, and its extension table,
// whose characters take two septets (3GPP TS 23.038, 6.2.1).
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡" +
		"ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtended = "\f^{}\\[~]|€"
)

// septets is the number of septets of a character in the GSM alphabet. It is 0 if
// the alphabet lacks the character.
func septets(r rune) int {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(gsmBasic, r):
		return 1
	case strings.ContainsRune(gsmExtended, r):
		return 2
	}
	return 0
}

// segments is the number of segments that an SMS is billed for. One segment holds
// 160 septets, or 70 units of UCS-2 if a character is not in the GSM alphabet. Each
// of several segments holds 153 or 67. No character is split between two segments.
func segments(text string) int {
	one, each, size := 160, 153, septets
	for _, r := range text {
		if septets(r) == 0 {
			one, each, size = 70, 67, utf16Units
			break
		}
	}
	total, count, used := 0, 1, 0
	for _, r := range text {
		n := size(r)
		total += n
		if used += n; used > each {
			count, used = count+1, n
		}
	}
	if total <= one {
		return 1
	}
	return count
}

func utf16Units(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}
