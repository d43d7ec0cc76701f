package clientip_test

import (
	"context"
	"net/netip"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/clientip"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // "" for none
		"203.0.113.9": "203.0.113.9", "203.0.113.9:5678": "203.0.113.9", " \t203.0.113.9 ": "203.0.113.9", "203.0.113.9:0": "203.0.113.9", "203.0.113.9:65535": "203.0.113.9",
		"2001:db8::9": "2001:db8::9", "[2001:db8::9]": "2001:db8::9", "[2001:DB8:0::9]:443": "2001:db8::9", " [::1]:5 ": "::1", "::1": "::1",
		"::ffff:203.0.113.9": "203.0.113.9", "[::ffff:203.0.113.9]:80": "203.0.113.9", "[::ffff:cb00:7109]": "203.0.113.9",
		// One address, not an address and a port.
		"2001:db8::9:443": "2001:db8::9:443",

		"": "", " ": "", ",": "", "unknown": "", "_hidden": "", "localhost": "", "for=203.0.113.9": "", `"203.0.113.9"`: "", `"[::1]:5"`: "",
		"203.0.113.9:": "", "203.0.113.9:65536": "", "203.0.113.9:-1": "", "203.0.113.9:+1": "", "203.0.113.9:x": "", "203.0.113.9 :80": "", "203.0.113.9:80:80": "",
		"203.0.113": "", "203.0.113.9.1": "", "203.0.113.256": "", "203.0.113.09": "", "0x7f.0.0.1": "", "2130706433": "", "203.0.113.0/24": "",
		"[203.0.113.9]": "", "[203.0.113.9]:80": "", "[2001:db8::9": "", "2001:db8::9]": "", "[]": "", "[]:80": "", "[[::1]]": "", "[::1]80": "", "[ ::1 ]": "",
		"fe80::1%eth0": "", "[fe80::1%eth0]": "", "[fe80::1%eth0]:80": "", "::ffff:203.0.113.9%eth0": "", "[::ffff:203.0.113.9%1]:80": "",
		"203.0.113.9\r\n": "", "203.0.113.9\x00": "", "203.0.113.9, 198.51.100.1": "", "２０３.0.113.9": "",
	} {
		addr, ok := clientip.Parse(text)
		got := ""
		if ok {
			got = addr.String()
		}
		if got != want || ok != addr.IsValid() {
			t.Errorf("%q: got %q, %t, want %q", text, got, ok, want)
		}
	}
}

// Every address is read back from each form in which proxies write it.
func TestParse_ReadsEveryAddressInEveryForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
		addr, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "bytes"))
		port := rapid.Uint16().Draw(t, "port")
		forms := []string{addr.String(), netip.AddrPortFrom(addr, port).String(), " " + addr.StringExpanded() + "\t"}
		if addr.Is4() {
			forms = append(forms, "::ffff:"+addr.String(), "[::ffff:"+addr.String()+"]:"+strconv.Itoa(int(port)))
		} else {
			forms = append(forms, "["+addr.StringExpanded()+"]")
		}
		for _, form := range forms {
			if got, ok := clientip.Parse(form); !ok || got != addr.Unmap() {
				t.Errorf("%q: got %s, %t", form, got, ok)
			}
		}
	})
}

func TestIsPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"8.8.8.8": true, "9.255.255.255": true, "11.0.0.0": true, "172.15.255.255": true, "172.32.0.0": true, "192.167.255.255": true, "192.169.0.0": true,
		"100.63.255.255": true, "100.128.0.0": true, "126.255.255.255": true, "128.0.0.0": true, "169.253.255.255": true, "169.255.0.0": true,
		"1.0.0.0": true, "223.255.255.255": true, "2001:4860::1": true, "2000::": true, "3fff:ffff::": true,

		"10.0.0.0": false, "10.255.255.255": false, "172.16.0.0": false, "172.31.255.255": false, "192.168.0.0": false, "192.168.255.255": false,
		"100.64.0.0": false, "100.127.255.255": false, "127.0.0.1": false, "127.255.255.255": false, "169.254.0.0": false, "169.254.255.255": false,
		"0.0.0.0": false, "0.255.255.255": false, "224.0.0.1": false, "239.255.255.255": false, "240.0.0.0": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "febf::1": false, "fc00::": false, "fdff::1": false, "ff02::1": false, "fec0::1": false, "1fff::1": false, "4000::": false,
	} {
		if got := clientip.IsPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %t", text, got)
		}
	}
	if clientip.IsPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"203.0.113.9":           {"203.0.113.0/24", "203.0.113.9/32"},
		"2001:db8:1:2:3:4:5:6":  {"2001:db8:1::/48", "2001:db8:1:2::/64"},
		"2001:db8:1:ffff::ffff": {"2001:db8:1::/48", "2001:db8:1:ffff::/64"},
	} {
		c := clientip.Client{Addr: netip.MustParseAddr(text)}
		if got := [2]string{c.Network().String(), c.Subscriber().String()}; got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	if c := (clientip.Client{}); c.Network().IsValid() || c.Subscriber().IsValid() {
		t.Error("no address has a network")
	}
}

func TestFrom_WithoutAClientNothingIsUsable(t *testing.T) {
	t.Parallel()
	if c := clientip.From(context.Background()); c.Usable || c.Addr.IsValid() {
		t.Errorf("got %+v", c)
	}
	want := clientip.Client{Addr: netip.MustParseAddr("203.0.113.9"), Usable: true}
	if got := clientip.From(clientip.With(context.Background(), want)); got != want {
		t.Errorf("got %+v", got)
	}
}

// What is read has no zone, is no IPv4 address in IPv6, and is read again from its own
// text.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"203.0.113.9:80", "[2001:db8::9]:443", "[::1]", "::ffff:203.0.113.9", "fe80::1%eth0", "", "[", "]", "[]:", "1.2.3.4:99999", " ::1\t"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, ok := clientip.Parse(text)
		if ok != addr.IsValid() || addr.Zone() != "" || addr.Is4In6() {
			t.Fatalf("%q: %s, %t", text, addr, ok)
		}
		if again, same := clientip.Parse(addr.String()); ok && (!same || again != addr) {
			t.Errorf("%q: %s is read as %s", text, addr, again)
		}
	})
}
