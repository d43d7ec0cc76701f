package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the style and the script
	"encoding/hex"
	"strings"
	"sync"

	"twofa/internal/color"
)

//go:embed style.css
var style []byte

//go:embed script.js
var script []byte

// DefaultColor is the brand's colour of a service that sets none.
var DefaultColor = color.Color{R: 0x1d, G: 0x4e, B: 0xd8}

// version changes with the contents, so that browsers may keep a file for long.
func version(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:4])
}

// Paths below the service's origin.
const (
	stylePath  = "/verify/style"
	ScriptPath = "/verify/script"
	LogoPath   = "/verify/logo"
)

var (
	styleVersion  = sync.OnceValue(func() string { return version(style) })
	scriptVersion = sync.OnceValue(func() string { return version(script) })
)

// StylePath is the path of the style for a brand's colour, "" for the default.
func StylePath(brand string) string {
	path := stylePath + "?v=" + styleVersion()
	if c, err := color.Parse(brand); err == nil {
		path += "&c=" + strings.TrimPrefix(c.String(), "#")
	}
	return path
}

func scriptPath() string { return ScriptPath + "?v=" + scriptVersion() }

// Style returns the style for a colour of six hexadecimal digits, for the default colour if
// the text is none.
func Style(hexDigits string) []byte {
	c, err := color.Parse("#" + hexDigits)
	if err != nil {
		c = DefaultColor
	}
	css := bytes.ReplaceAll(style, []byte("BRAND"), []byte(c.String()))
	return bytes.ReplaceAll(css, []byte("LIGHT"), []byte(c.OnDark().String()))
}

// Script returns the script of the pages.
func Script() []byte { return script }
