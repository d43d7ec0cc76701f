package pages_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/testing/browser"
	"twofa/internal/testing/fixture"
	"twofa/otpsend"
)

// TestScreenshots writes pictures of the screens into the folder SHOTS, for people who look
// at them.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SHOTS")
	if dir == "" {
		t.Skip("SHOTS is not set")
	}
	for _, language := range []string{"en", "de", "ar", "hi"} {
		for _, width := range []int64{320, 390, 1280} {
			for _, dark := range []bool{false, true} {
				if dark && width == 320 {
					continue
				}
				s := newSite(t)
				b := browser.New(t, browser.Options{Width: width, Language: language, Dark: dark})
				shot := func(name string) {
					b.Screenshot(filepath.Join(dir, fmt.Sprintf("%s-%d-%t-%s.png", language, width, dark, name)))
				}
				b.Open(s.begin(otpsend.Request{}).PageURL)
				shot("1address")
				b.Type("#address", "12")
				b.Submit("main button.main")
				shot("2address-error")
				b.Open(s.begin(otpsend.Request{To: fixture.Bob, Transaction: otp.Transaction{Amount: "EUR 1,250.00", Payee: "Bike Shop Ltd."}, Purpose: "pay"}).PageURL)
				shot("3code")
				b.Type("#code", "000000")
				b.Submit("main button.main")
				shot("4code-error")
				b.Submit("button.strong")
				shot("5help")
				b.Open(s.begin(otpsend.Request{To: fixture.AliceMail, Channel: channel.Email}).PageURL)
				b.Type("#code", s.code(channel.Email))
				b.Click("main button.main")
				b.WaitURL(s.app.URL)
			}
		}
	}
}
