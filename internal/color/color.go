// Package color computes the contrast of colours as WCAG 2.2 defines it, and the shades of a
// brand's colour that the pages need. It must never change a colour that people see as the
// brand's without need: only on a dark background it is made lighter.
package color

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Text is the contrast that text needs at least (WCAG 2.2, 1.4.3, level AA).
const Text = 4.5

// Color is a colour of sRGB.
type Color struct{ R, G, B uint8 }

// The colours of the pages.
var (
	White = Color{255, 255, 255}
	// Dark is the lightest background of the pages in the dark theme.
	Dark = Color{0x1b, 0x20, 0x28}
)

// ErrForm is the error of Parse.
var ErrForm = errors.New("color: not a colour like #0b5fff")

// Parse reads a colour of the form #0b5fff.
func Parse(text string) (c Color, err error) {
	if len(text) != 7 || text[0] != '#' {
		return c, ErrForm
	}
	n, err := strconv.ParseUint(text[1:], 16, 32)
	if err != nil {
		return c, ErrForm
	}
	return Color{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

// String is the form that Parse reads.
func (c Color) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// luminance is the relative luminance, from 0 to 1.
func (c Color) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// Contrast is the contrast ratio of two colours, from 1 to 21.
func Contrast(a, b Color) float64 {
	l, d := a.luminance(), b.luminance()
	return (max(l, d) + 0.05) / (min(l, d) + 0.05)
}

// Check returns an error unless white text can be read on the colour, and the colour on
// white.
func (c Color) Check() error {
	if got := Contrast(c, White); got < Text {
		return fmt.Errorf("has a contrast of %.1f to white; text needs %.1f (WCAG AA): choose a darker colour", math.Floor(got*10)/10, Text)
	}
	return nil
}

// OnDark is the colour, mixed with as little white as makes it readable on [Dark].
func (c Color) OnDark() Color {
	for part := 0; part < 20; part++ {
		mixed := c.mix(float64(part) / 20)
		if Contrast(mixed, Dark) >= Text {
			return mixed
		}
	}
	return White
}

// mix is the colour with a part of white, from 0 to 1.
func (c Color) mix(white float64) Color {
	to := func(v uint8) uint8 { return uint8(math.Round(float64(v) + (255-float64(v))*white)) }
	return Color{to(c.R), to(c.G), to(c.B)}
}
