package qr_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"twofa/internal/qr"
	"twofa/internal/testing/tooltest"
	"twofa/internal/totp"
)

func uri(issuer, account string) string {
	a := totp.Authenticator{Secret: []byte("12345678901234567890"), Options: totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}}
	return a.URI(issuer, account)
}

// texts returns URIs with difficult names, and texts in the format's other encodings.
func texts() map[string]string {
	return map[string]string{
		"plain":    uri("Acme", "alice"),
		"spaces":   uri("Acme Bank Ltd", "alice smith"),
		"colons":   uri("Acme: Bank", "a:b:c"),
		"umlauts":  uri("Müller & Söhne", "zoë@example.com"),
		"emoji":    uri("🔑 Schlüssel", "👩\u200d💻"),
		"percents": uri("100% Bank", "50%25 %41"),
		"script":   uri("東京銀行", "алиса"),
		"long":     uri(strings.Repeat("Acme Bank ", 10), strings.Repeat("ü", 60)),
		"SHA512":   (totp.Authenticator{Secret: bytes.Repeat([]byte{0xa5}, 64), Options: totp.Options{Algorithm: totp.SHA512, Digits: 8, Period: 60}}).URI("Acme", "bob"),
		"digits":   "0123456789012345",
		"capitals": "HTTPS://EXAMPLE.COM/A",
		"one":      "x",
	}
}

// draw returns the text's QR code in both forms.
func draw(t testing.TB, text, title string) (picture []byte, drawing string) {
	t.Helper()
	picture, err := qr.PNG(text)
	if err == nil {
		drawing, err = qr.SVG(text, title)
	}
	if err != nil {
		t.Fatal(err)
	}
	return picture, drawing
}

func TestPNGAndSVG_AreReadByZbar(t *testing.T) {
	for name, text := range texts() {
		t.Run(name, func(t *testing.T) {
			picture, drawing := draw(t, text, "QR code")
			for form, picture := range map[string][]byte{"PNG": picture, "SVG": tooltest.DrawSVG(t, drawing, "400")} {
				if got := tooltest.ReadQR(t, picture); got != text {
					t.Errorf("zbar reads from the %s\n%s\nnot\n%s", form, got, text)
				}
			}
		})
	}
}

// grid returns the modules of a picture, one character each.
func grid(size int, dark func(x, y int) bool) string {
	var b strings.Builder
	for y := range size {
		for x := range size {
			if dark(x, y) {
				b.WriteByte('#')
			} else {
				b.WriteByte('.')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// decodePNG returns a picture with two colours: white and black, in this order.
func decodePNG(t *testing.T, data []byte) *image.Paletted {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	p, ok := picture.(*image.Paletted)
	if !ok || len(p.Palette) != 2 || !sameColor(p.Palette[0], color.White) || !sameColor(p.Palette[1], color.Black) {
		t.Fatalf("the picture is %T", picture)
	}
	return p
}

func sameColor(a, b color.Color) bool {
	return color.RGBAModel.Convert(a) == color.RGBAModel.Convert(b)
}

// gridOfSVG reads the second path. Each run of dark modules is a rectangle.
func gridOfSVG(t *testing.T, drawing string) (size int, modules string) {
	t.Helper()
	var svg struct {
		ViewBox string `xml:"viewBox,attr"`
		Paths   []struct {
			Fill string `xml:"fill,attr"`
			D    string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal([]byte(drawing), &svg); err != nil {
		t.Fatal(err)
	}
	if n, err := fmt.Sscanf(svg.ViewBox, "0 0 %d", &size); n != 1 || err != nil || svg.ViewBox != fmt.Sprintf("0 0 %d %d", size, size) {
		t.Fatalf("viewBox %q", svg.ViewBox)
	}
	if len(svg.Paths) != 2 || svg.Paths[0].Fill != "#fff" || svg.Paths[0].D != fmt.Sprintf("M0 0h%dv%dH0z", size, size) || svg.Paths[1].Fill != "" {
		t.Fatalf("paths %+v", svg.Paths)
	}
	run := regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)
	if rest := run.ReplaceAllString(svg.Paths[1].D, ""); rest != "" {
		t.Fatalf("the path has %q, too", rest)
	}
	dark := map[[2]int]bool{}
	for _, m := range run.FindAllStringSubmatch(svg.Paths[1].D, -1) {
		var v [4]int
		for i := range v {
			v[i], _ = strconv.Atoi(m[i+1])
		}
		if v[2] != v[3] || v[2] < 1 {
			t.Fatalf("%s is not a rectangle", m[0])
		}
		for x := v[0]; x < v[0]+v[2]; x++ {
			if dark[[2]int{x, v[1]}] {
				t.Fatalf("%d %d is drawn twice", x, v[1])
			}
			dark[[2]int{x, v[1]}] = true
		}
	}
	return size, grid(size, func(x, y int) bool { return dark[[2]int{x, y}] })
}

// The texts make codes of all sizes, with all encodings of the format.
func TestPNGAndSVG_AreTheSameModules(t *testing.T) {
	for _, n := range []int{1, 14, 26, 100, 180, 300, 600, 1100} {
		for _, symbols := range []string{"0123456789", "ABC /:", "otpauth://?%", "日本語"} {
			text := strings.Repeat(symbols, n/len(symbols)+1)[:n]
			t.Run(fmt.Sprintf("%d of %q", n, symbols), func(t *testing.T) { compare(t, text) })
			if n > 300 {
				break
			}
		}
	}
}

func compare(t *testing.T, text string) {
	t.Helper()
	data, drawing := draw(t, text, "")
	size, want := gridOfSVG(t, drawing)
	picture := decodePNG(t, data)
	width := picture.Bounds().Dx()
	scale := width / size
	if width%size != 0 || width != picture.Bounds().Dy() || scale < 4 || width > 400 && scale > 4 || width < 200 {
		t.Fatalf("%d modules on %d pixels", size, width)
	}
	isDark := func(x, y int) bool { return picture.ColorIndexAt(x, y) == 1 }
	if got := grid(size, func(x, y int) bool { return isDark(x*scale+scale/2, y*scale+scale/2) }); got != want {
		t.Fatalf("PNG\n%sSVG\n%s", got, want)
	}
	for y := range width { // modules are whole squares
		for x := range width {
			if isDark(x, y) != isDark(x/scale*scale, y/scale*scale) {
				t.Fatalf("the pixel %d %d differs within its module", x, y)
			}
		}
	}
	for i, line := range strings.Split(strings.TrimSpace(want), "\n") {
		edge := i < 4 || i >= size-4
		if strings.Contains(line[:4]+line[size-4:], "#") || edge && strings.Contains(line, "#") {
			t.Fatal("the margin has a dark module")
		}
	}
	checkLandmarks(t, strings.Split(want, "\n"), size)
}

// checkLandmarks makes sure that the code is not mirrored and has error correction M.
// A lenient reader such as zbar does not need either. The standard has one dark module
// outside of all patterns. The level is in the first two modules of the row under the
// corner's pattern: after masking, M is dark and light.
func checkLandmarks(t *testing.T, lines []string, size int) {
	t.Helper()
	if !strings.HasPrefix(lines[4], "....#######.") {
		t.Error("there is no finder pattern in the corner")
	}
	if lines[size-4-8][4+8] != '#' {
		t.Error("the dark module is not in its place")
	}
	if got := lines[4+8][4:6]; got != "#." {
		t.Errorf("the level is %s, want #.", got)
	}
}

func TestPNG_HasOneBitAPixel(t *testing.T) {
	data, _ := draw(t, uri("Acme", "alice"), "")
	const depth = 8 + 4 + 4 + 8 // after the signature, IHDR's head, width and height
	if data[depth] != 1 || data[depth+1] != 3 {
		t.Errorf("bit depth %d, colour type %d, want 1 and a palette", data[depth], data[depth+1])
	}
	if len(data) > 2000 {
		t.Errorf("%d bytes", len(data))
	}
}

func TestSVG_TitleIsForScreenReaders(t *testing.T) {
	title := `</title><script>alert("1")</script> & ü`
	_, drawing := draw(t, "x", title)
	var svg struct {
		Role  string `xml:"role,attr"`
		Crisp string `xml:"shape-rendering,attr"`
		Title string `xml:"title"`
	}
	if err := xml.Unmarshal([]byte(drawing), &svg); err != nil {
		t.Fatal(err)
	}
	if svg.Title != title || svg.Role != "img" || svg.Crisp != "crispEdges" || strings.Contains(drawing, "<script") {
		t.Error(drawing)
	}
	_, drawing = draw(t, "x", "")
	// A page's policy may forbid styles.
	if strings.Contains(drawing, "<title") || !strings.Contains(drawing, `aria-hidden="true"`) || strings.Contains(drawing, "style") {
		t.Error(drawing)
	}
}

func TestBoth_AreTheSameEachTime(t *testing.T) {
	for _, text := range []string{uri("Acme", "alice"), uri("🔑", "a:b")} {
		p1, s1 := draw(t, text, "t")
		p2, s2 := draw(t, text, "t")
		if !bytes.Equal(p1, p2) || s1 != s2 {
			t.Errorf("%q: the second one is different", text)
		}
	}
}

func TestBoth_RefuseATextThatNoCodeHolds(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("canary ", 333) + "x", strings.Repeat("9", 5597)} {
		_, err := qr.PNG(text)
		_, err2 := qr.SVG(text, "")
		if !errors.Is(err, qr.ErrText) || !errors.Is(err2, qr.ErrText) || strings.Contains(err.Error()+err2.Error(), "canary") {
			t.Errorf("%d bytes: %v, %v", len(text), err, err2)
		}
	}
	for _, text := range []string{strings.Repeat("canary ", 333), strings.Repeat("9", 5596)} {
		if _, err := qr.PNG(text); err != nil {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}

func BenchmarkPNG(b *testing.B) {
	text := uri("Acme", "alice@example.com")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := qr.PNG(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSVG(b *testing.B) {
	text := uri("Acme", "alice@example.com")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := qr.SVG(text, "QR code"); err != nil {
			b.Fatal(err)
		}
	}
}
