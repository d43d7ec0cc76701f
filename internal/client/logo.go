package client

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
)

// MaxLogo is the greatest length of a logo in bytes.
const MaxLogo = 32 << 10

var errLogo = errors.New("it is no picture: use SVG, PNG, JPEG, GIF or WebP")

// LogoType returns the media type of a logo: PNG, JPEG, GIF, WebP or SVG. ok is false for
// another file.
func LogoType(file []byte) (kind string, ok bool) {
	kind = http.DetectContentType(file)
	if slices.Contains([]string{"image/png", "image/jpeg", "image/gif", "image/webp"}, kind) {
		return kind, true
	}
	// DetectContentType does not know SVG: it may begin with an XML declaration and comments.
	head := file[:min(len(file), 1024)]
	if i := bytes.Index(head, []byte("<svg")); i >= 0 && bytes.HasPrefix(bytes.TrimLeft(head, "\ufeff \t\r\n"), []byte("<")) {
		return "image/svg+xml", true
	}
	return "", false
}

// ReadLogo returns the file of a logo. The error has no path.
func ReadLogo(path string) ([]byte, error) {
	file, err := readFile(path, MaxLogo)
	if err != nil {
		return nil, err
	}
	if _, ok := LogoType(file); !ok {
		return nil, errLogo
	}
	return file, nil
}
