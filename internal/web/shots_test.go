package web_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"twofa/internal/testing/browser"
)

// TestScreenshots writes pictures of the screens into the folder SHOTS, for people who look
// at them. ONLY and LANGUAGES name screens and languages, comma-separated; TEXTS is a folder
// with more texts.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SHOTS")
	if dir == "" {
		t.Skip("SHOTS is not set")
	}
	url := serve(t, os.Getenv("TEXTS"))
	only := strings.FieldsFunc(os.Getenv("ONLY"), func(r rune) bool { return r == ',' })
	languages := strings.FieldsFunc(os.Getenv("LANGUAGES"), func(r rune) bool { return r == ',' })
	if len(languages) == 0 {
		languages = []string{"en", "de", "ar", "hi"}
	}
	for _, width := range []int64{320, 390, 1280} {
		for _, dark := range []bool{false, true} {
			b := browser.New(t, browser.Options{Width: width, Height: 300, Dark: dark})
			theme := map[bool]string{false: "light", true: "dark"}[dark]
			for _, language := range languages {
				for _, name := range names() {
					if len(only) > 0 && !slices.Contains(only, name) {
						continue
					}
					b.Open(url + "/" + name + "?locale=" + language)
					b.NoHorizontalScroll()
					b.Screenshot(filepath.Join(dir, fmt.Sprintf("%s-%s-%d-%s.png", name, language, width, theme)))
				}
			}
		}
	}
}
