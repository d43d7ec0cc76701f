package clientip

import (
	"net/netip"
	"strings"
)

// Read reads an address as apps pass it on: as Parse does, and also the value of a whole
// header. Of a list, it reads the last entry, as of the headers that this service reads
// itself: whoever sends a request can write the entries before it. An entry may be an
// element of Forwarded (RFC 7239), for="[2001:db8::9]:443";proto=https, and may be in
// quotes. The zone of an address is left out. ok is false for anything else, such as
// unknown and _hidden.
func Read(text string) (addr netip.Addr, ok bool) {
	text = strings.TrimSpace(text[strings.LastIndexByte(text, ',')+1:])
	for parameter := range strings.SplitSeq(text, ";") {
		if name, value, found := strings.Cut(parameter, "="); found && strings.EqualFold(strings.TrimSpace(name), "for") {
			text = strings.TrimSpace(value)
			break
		}
	}
	if inner, found := strings.CutPrefix(text, `"`); found {
		if text, found = strings.CutSuffix(inner, `"`); !found {
			return netip.Addr{}, false
		}
	}
	if before, zone, found := strings.Cut(text, "%"); found {
		_, after, _ := strings.Cut(zone, "]")
		if strings.HasPrefix(before, "[") {
			before += "]" + after
		}
		text = before
	}
	return Parse(text)
}
