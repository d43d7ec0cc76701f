package clientip_test

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/clientip"
)

func TestRead_TakesTheAddressOutOfWhatAppsPassOn(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // "" for none
		"203.0.113.9": "203.0.113.9", "203.0.113.9:5678": "203.0.113.9", " 203.0.113.9\n": "203.0.113.9", `"203.0.113.9:80"`: "203.0.113.9",
		"2001:db8::9": "2001:db8::9", "[2001:db8::9]": "2001:db8::9", "[2001:db8::9]:443": "2001:db8::9", `"[2001:db8::9]:443"`: "2001:db8::9",
		"::ffff:203.0.113.9": "203.0.113.9", "[::ffff:203.0.113.9]:80": "203.0.113.9",
		"fe80::1%eth0": "fe80::1", "[fe80::1%eth0]": "fe80::1", "[fe80::1%25eth0]:80": "fe80::1", "::ffff:203.0.113.9%1": "203.0.113.9",
		// Lists: the last entry, which no client can write.
		"198.51.100.1, 203.0.113.9": "203.0.113.9", "unknown,203.0.113.9:80": "203.0.113.9", "10.0.0.1, 198.51.100.1, [2001:db8::9]:1": "2001:db8::9",
		"for=203.0.113.9": "203.0.113.9", `For="[2001:db8::9]:443";proto=https;by=10.0.0.1`: "2001:db8::9", `for=198.51.100.1, for=203.0.113.9;proto=http`: "203.0.113.9", "proto=http; for=203.0.113.9": "203.0.113.9",

		"": "", "unknown": "", "_hidden": "", "for=_hidden": "", "localhost": "", "-": "", ",": "", "203.0.113.9,": "", "203.0.113.9, unknown": "", "null": "", "%": "", "[%]": "",
		`"203.0.113.9`: "", "203.0.113": "", "203.0.113.256": "", "203.0.113.09": "", "2130706433": "", "203.0.113.0/24": "", "203.0.113.9 198.51.100.1": "",
	} {
		addr, ok := clientip.Read(text)
		got := ""
		if ok {
			got = addr.String()
		}
		if got != want || ok != addr.IsValid() {
			t.Errorf("%q is read as %q, %t, want %q", text, got, ok, want)
		}
	}
}

// Read reads what Parse reads, as the same address.
func TestRead_AgreesWithParse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
		addr, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "bytes"))
		for _, text := range []string{addr.String(), netip.AddrPortFrom(addr, rapid.Uint16().Draw(t, "port")).String()} {
			want, _ := clientip.Parse(text)
			for _, form := range []string{text, `"` + text + `"`, "for=" + text, "198.51.100.1, " + text} {
				if got, ok := clientip.Read(form); !ok || got != want {
					t.Fatalf("%q is read as %v, %t", form, got, ok)
				}
			}
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"203.0.113.9:80", `for="[2001:db8::9]:443";proto=https`, "fe80::1%eth0", "a, b", "[", `"`, "%]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, ok := clientip.Read(text)
		if ok != addr.IsValid() || addr.Zone() != "" || addr.Is4In6() {
			t.Fatalf("%q is read as %v, %t", text, addr, ok)
		}
		if !ok {
			return
		}
		if again, ok := clientip.Read(addr.String()); !ok || again != addr {
			t.Fatalf("%q is read as %v, and that as %v, %t", text, addr, again, ok)
		}
	})
}
