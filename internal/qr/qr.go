// Package qr draws QR codes (ISO/IEC 18004): of the URI that an authenticator
// app scans, for one. What is drawn is a secret then, so the package must never
// put the text into an error, and keeps nothing.
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

// quiet is the margin that the standard asks for, in modules. Without it many
// cameras do not find the code.
const quiet = 4

// A module has as many pixels as make the picture about wantPixels wide, but at
// least minModule: enough for a camera from a screen, at any size of the code.
const (
	wantPixels = 300
	minModule  = 4
)

// ErrText is returned for a text that is empty, or that no QR code holds: 2,331
// bytes fit into any (version 40 with error correction M), of digits alone more.
var ErrText = errors.New("qr: the text is empty or too long for a QR code")

// modules is a QR code with its margin: true is dark.
type modules struct {
	size int // a side's
	dark []bool
}

// encode makes the code, with error correction M: 15 % of it may be unreadable.
// The library chooses the smallest version and the mask, and always the same.
func encode(text string) (modules, error) {
	if text == "" {
		return modules{}, ErrText
	}
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil { // it quotes the text
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

// PNG returns the text's QR code as a picture in black and white, one bit a
// pixel, and about 300 pixels wide (over 400 for more than 1,000 bytes). The
// same text gives the same bytes. The error is ErrText.
func PNG(text string) ([]byte, error) {
	m, err := encode(text)
	if err != nil {
		return nil, err
	}
	scale := max(minModule, wantPixels/m.size)
	// A palette of two makes the encoder write one bit a pixel.
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

// SVG returns the text's QR code as an svg element, without a prologue, so that
// a page can hold it. It has no size of its own: the page sets one. It is black
// on white also where the page is dark, and needs no style. The title is what a
// screen reader says; it may be any text but must not hold the secret, and ""
// leaves the picture out of what is read. The same texts give the same bytes.
// The error is ErrText.
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
			for m.at(x+1, y) { // the margin ends it
				x++
			}
			n := x + 1 - start
			fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", start, y, n, n)
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}
