// Package qr draws QR codes (ISO/IEC 18004), such as the URI that an authenticator
// app scans. The text may be a secret: the package must never put it into an error,
// or keep it.
package qr

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// quiet is the margin that the standard requires, in modules. Without it, many
// cameras do not find the code.
const quiet = 4

// The picture is about wantPixels wide. Each module has at least minModule pixels, so
// that a camera can read a code of any size from a screen.
const (
	wantPixels = 300
	minModule  = 4
)

// ErrText is the error of an empty text, and of one that no QR code can hold. Any
// text of up to 2,331 bytes fits (version 40 with error correction M), and more
// digits.
var ErrText = errors.New("qr: the text is empty or too long for a QR code")

// modules is a QR code with its margin: true is dark.
type modules struct {
	size int // the length of a side
	dark []bool
}

// encode makes the code with error correction M: up to 15 % of it may be unreadable.
// The library chooses the smallest version, and always the same mask.
func encode(text string) (modules, error) {
	if text == "" {
		return modules{}, ErrText
	}
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil { // not returned: it quotes the text
		return modules{}, ErrText
	}
	bounds := code.Bounds()
	m := modules{size: bounds.Dx() + 2*quiet}
	m.dark = make([]bool, m.size*m.size)
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			gray := color.GrayModel.Convert(code.At(bounds.Min.X+x, bounds.Min.Y+y)).(color.Gray)
			m.dark[(y+quiet)*m.size+x+quiet] = gray.Y < 128
		}
	}
	return m, nil
}

func (m modules) at(x, y int) bool { return m.dark[y*m.size+x] }

// PNG returns the QR code of a text as a black and white picture with one bit for
// each pixel. It is about 300 pixels wide, and over 400 for more than 1,000 bytes. The
// same text gives the same picture, byte for byte. The error is ErrText.
func PNG(text string) ([]byte, error) {
	m, err := encode(text)
	if err != nil {
		return nil, err
	}
	scale := max(minModule, wantPixels/m.size)
	// With a palette of two colours, the encoder writes one bit for each pixel.
	picture := image.NewPaletted(image.Rect(0, 0, m.size*scale, m.size*scale), color.Palette{color.White, color.Black})
	for y := range m.size * scale {
		for x := range m.size * scale {
			if m.at(x/scale, y/scale) {
				picture.Pix[y*picture.Stride+x] = 1
			}
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, picture); err != nil {
		return nil, fmt.Errorf("qr: %w", err) // of the size or the buffer, never of the text
	}
	return out.Bytes(), nil
}

// SVG returns the QR code of a text as an svg element without a prologue, for use in
// a page. It has no size; the page sets one. It is black on white in a dark page, too,
// and needs no style. A screen reader reads the title, which may be any text but must
// not have the secret. With the title "", a screen reader skips the picture. The same
// texts give the same element, byte for byte. The error is ErrText.
func SVG(text, title string) (string, error) {
	m, err := encode(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"`, m.size, m.size)
	if title == "" {
		b.WriteString(` aria-hidden="true">`)
	} else {
		b.WriteString(` role="img"><title>`)
		if err := xml.EscapeText(&b, []byte(title)); err != nil {
			return "", fmt.Errorf("qr: %w", err)
		}
		b.WriteString(`</title>`)
	}
	fmt.Fprintf(&b, `<path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, m.size, m.size)
	for y := range m.size {
		for x := 0; x < m.size; x++ {
			if !m.at(x, y) {
				continue
			}
			start := x
			for m.at(x+1, y) { // ends at the margin
				x++
			}
			n := x + 1 - start
			fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", start, y, n, n)
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}
