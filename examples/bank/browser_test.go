package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"twofa/internal/testing/browser"
)

// Both ways in a real browser, under the bank's policy. With SHOTS, pictures are written to that
// folder.
func TestBank_InABrowser(t *testing.T) {
	w := newTown(t)
	w.customer().signUp()
	for _, way := range []string{"page", "own"} {
		for _, dark := range []bool{false, true} {
			logInInABrowser(t, w, way, dark)
			w.Advance(time.Hour)
		}
	}
}

func logInInABrowser(t *testing.T, w *town, way string, dark bool) {
	b := browser.New(t, browser.Options{Width: 360, Dark: dark})
	shot := func(name string) {
		t.Helper()
		b.Axe()
		b.NoHorizontalScroll()
		if folder := os.Getenv("SHOTS"); folder != "" {
			if dark {
				name += "-dark"
			}
			b.Screenshot(filepath.Join(folder, way+"-"+name+".png"))
		}
	}
	b.Open(w.url)
	shot("0-welcome")
	b.Open(w.url + "/signup")
	shot("1-signup")
	b.Open(w.url + "/login")
	shot("2-login")
	b.Type("#name", "alice")
	b.Type("#password", password)
	b.Click("input[value=" + way + "]")
	b.Submit("button.main")
	shot("3-code")
	b.Type("#code", w.code())
	b.Click("button.main")
	b.WaitURL(w.url)
	b.WaitText("Hello, alice")
	shot("4-in")
	b.NoSurprises(w.url, w.service)
}

// An error is said in words, and the focus is at the field to change.
func TestBank_ErrorsInABrowser(t *testing.T) {
	w := newTown(t)
	w.customer().signUp()
	b := browser.New(t, browser.Options{Width: 360})
	fails := func(text, focus, shot string) {
		t.Helper()
		b.Submit("button.main")
		b.WaitText(text)
		if got := b.Focused(); got != focus {
			t.Errorf("the focus is at %q", got)
		}
		b.Axe()
		b.NoHorizontalScroll()
		if folder := os.Getenv("SHOTS"); folder != "" {
			b.Screenshot(filepath.Join(folder, "error-"+shot+".png"))
		}
	}
	b.Open(w.url + "/signup")
	b.Type("#name", "bob")
	b.Type("#password", password)
	b.Type("#contact", "12")
	fails(textContact, "input#contact Phone number or e-mail address", "contact")
	b.Open(w.url + "/login")
	b.Type("#name", "alice")
	b.Type("#password", "wrong password")
	fails(textWrong, "input#name Name", "password")
	b.Type("#password", password)
	b.Click("input[value=own]")
	b.Submit("button.main")
	b.Type("#code", "000000")
	fails("You have 4 more tries.", "input#code Code", "code")
}
