package web_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"twofa/internal/color"
	"twofa/internal/phone"
	"twofa/internal/web"
)

var (
	variable = regexp.MustCompile(`--([a-z-]+):(#[0-9a-f]{3,6})\b`)
	hexColor = regexp.MustCompile(`^#([0-9a-f])([0-9a-f])([0-9a-f])$`)
)

// themes returns the colours of the light and the dark theme of a style.
func themes(t *testing.T, css []byte) (light, dark map[string]color.Color) {
	t.Helper()
	read := func(text string, into map[string]color.Color) map[string]color.Color {
		for _, m := range variable.FindAllStringSubmatch(text, -1) {
			c, err := color.Parse(hexColor.ReplaceAllString(m[2], "#$1$1$2$2$3$3"))
			if err != nil {
				t.Fatalf("--%s is %s: %v", m[1], m[2], err)
			}
			into[m[1]] = c
		}
		return into
	}
	first, rest, _ := strings.Cut(string(css), "@media (prefers-color-scheme:dark){")
	second, _, _ := strings.Cut(rest, "}}")
	light, dark = read(first, map[string]color.Color{}), read(first, map[string]color.Color{})
	return light, read(second, dark)
}

// Every colour of a text, a border or a mark can be told from what is behind it, for every
// brand's colour that the settings accept.
func TestContrast(t *testing.T) {
	for _, brand := range []string{"0b5fff", "000000", "1b2028", "767676", "c8102e", "00704a", "5a00ff", "nonsense", ""} {
		light, dark := themes(t, web.Style(brand))
		for theme, c := range map[string]map[string]color.Color{"light": light, "dark": dark} {
			for _, pair := range []struct {
				front, back string
				least       float64
			}{
				{"text", "card", 4.5}, {"text", "page", 4.5}, {"text", "fill", 4.5}, {"text", "bad-soft", 4.5}, {"text", "good-soft", 4.5},
				{"quiet", "card", 4.5}, {"quiet", "page", 4.5}, {"quiet", "fill", 4.5}, {"quiet", "soft", 4.5},
				{"link", "card", 4.5}, {"on", "brand", 4.5}, {"bad", "card", 4.5}, {"bad", "bad-soft", 4.5}, {"good", "good-soft", 4.5},
				{"line", "card", 3}, {"edge", "card", 3}, {"link", "fill", 3},
			} {
				front, hasFront := c[pair.front]
				back, hasBack := c[pair.back]
				if !hasFront || !hasBack {
					t.Fatalf("the style lacks --%s or --%s", pair.front, pair.back)
				}
				if got := color.Contrast(front, back); got < pair.least {
					t.Errorf("%s, brand %q: --%s on --%s has a contrast of %.2f, needs %.1f", theme, brand, pair.front, pair.back, got, pair.least)
				}
			}
		}
		if dark["card"] != color.Dark {
			t.Errorf("the dark card is %s, but links are made for %s", dark["card"], color.Dark)
		}
	}
}

func TestStyle(t *testing.T) {
	css := web.Style("c8102e")
	if !bytes.Contains(css, []byte("--brand:#c8102e")) || bytes.Contains(css, []byte("BRAND")) || bytes.Contains(css, []byte("LIGHT")) {
		t.Error("the style does not have the brand's colour")
	}
	for _, text := range []string{"", "zz", "0b5fff;}", "#0b5fff", "0b5fff0", "url(x)", "0B5F", "+b5fff", "0x5fff"} {
		if !bytes.Equal(web.Style(text), web.Style(strings.TrimPrefix(web.DefaultColor.String(), "#"))) {
			t.Errorf("the style of %q is not the default's", text)
		}
	}
	for _, forbidden := range []string{"http:", "https:", "url(", "@import", "maxlength"} {
		if bytes.Contains(css, []byte(forbidden)) {
			t.Errorf("the style has %s", forbidden)
		}
	}
	for _, needed := range []string{"prefers-color-scheme:dark", "forced-colors:active", "prefers-reduced-motion", ":focus-visible"} {
		if !bytes.Contains(css, []byte(needed)) {
			t.Errorf("the style lacks %s", needed)
		}
	}
	if plain, own := web.StylePath(""), web.StylePath("#c8102e"); plain == own || !strings.HasSuffix(own, "&c=c8102e") || web.StylePath("javascript:") != plain {
		t.Errorf("the paths are %s and %s", plain, own)
	}
	for _, forbidden := range []string{"eval", "innerHTML", "document.write", "http", "fetch", "localStorage", "document.cookie"} {
		if bytes.Contains(web.Script(), []byte(forbidden)) {
			t.Errorf("the script has %s", forbidden)
		}
	}
}

// Every language has a list with a name for each region that has numbers, and no two alike.
func TestCountries(t *testing.T) {
	regions := phone.Regions()
	for _, tag := range languages(t) {
		file, err := os.ReadFile("regions/" + tag + ".txt")
		if err != nil {
			t.Error(err)
			continue
		}
		names, codes := map[string]bool{}, []string{}
		for line := range strings.Lines(string(file)) {
			code, name, _ := strings.Cut(strings.TrimSpace(line), " ")
			if name == "" || name == code || names[name] {
				t.Errorf("%s: %s is called %q", tag, code, name)
			}
			names[name] = true
			codes = append(codes, code)
		}
		slices.Sort(codes)
		if want := slices.Sorted(slices.Values(regions)); !slices.Equal(codes, want) {
			t.Errorf("%s has other regions than there are numbers for: run node internal/web/gen/regions.mjs", tag)
		}
	}
}

func TestCountryList(t *testing.T) {
	options := func(locale, selected string, allowed map[string]bool) (list []string, chosen string) {
		s := web.AddressScreen{Form: form("send"), Phones: true, Country: selected, Countries: allowed}
		for _, o := range all(render(t, locale, look, s), "option") {
			value, _ := attribute(o, "value")
			if _, is := attribute(o, "selected"); is {
				chosen += value
			}
			list = append(list, textOf(o))
		}
		return list, chosen
	}
	list, chosen := options("de", "AT", nil)
	if len(list) != 1+len(phone.Regions()) || chosen != "AT" {
		t.Errorf("%d options, %q is selected", len(list), chosen)
	}
	if i, j := slices.Index(list, "Ägypten +20"), slices.Index(list, "Albanien +355"); i < 0 || i > j {
		t.Errorf("the list is not sorted as German is: %d, %d", i, j)
	}
	if list, chosen = options("en", "FR", map[string]bool{"DE": true, "CH": true}); !slices.Equal(list[1:], []string{"Germany +49", "Switzerland +41"}) || chosen != "" {
		t.Errorf("of two countries the list has %q, %q is selected", list, chosen)
	}
	if _, chosen = options("en", "FR", map[string]bool{"DE": true}); chosen != "DE" {
		t.Errorf("of one country %q is selected", chosen)
	}
	if list, _ = options("ar", "", map[string]bool{"DE": true}); list[1] != "ألمانيا \u2066+49\u2069" {
		t.Errorf("in Arabic the option is %q", list[1])
	}
}
