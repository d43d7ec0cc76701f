package pages_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	for _, language := range languages() {
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
				s.register("alice", aliceByMail)
				b.Open(s.enroll("alice").PageURL)
				shot("6intro")
				b.Submit("main button.main")
				shot("7scan")
				b.Click("summary")
				key := strings.ReplaceAll(b.Text(".key"), " ", "")
				b.Type("#code", "000000")
				b.Submit("main button.main")
				shot("7scan-error")
				b.Type("#code", s.appCode(key))
				b.Submit("main button.main")
				shot("8apps")
				b.Submit(".apps + form button")
				b.Click("summary")
				b.Type("#code", s.appCode(strings.ReplaceAll(b.Text(".key"), " ", "")))
				b.Submit("main button.main")
				b.Submit("section button")
				shot("9codes")
				b.Submit(mainButton)
				shot("9made")
				b.Open(s.begin(otpsend.Request{To: "bob.canary@example.com", Channel: channel.Email}).PageURL)
				link := s.Sender(channel.Email).Last().Link
				other := browser.New(t, browser.Options{Width: width, Language: language, Dark: dark})
				other.Open(link)
				other.Screenshot(filepath.Join(dir, fmt.Sprintf("%s-%d-%t-%s.png", language, width, dark, "a-link")))
				other.Submit("main button.main")
				other.Screenshot(filepath.Join(dir, fmt.Sprintf("%s-%d-%t-%s.png", language, width, dark, "b-shown")))
				b.Open(s.begin(otpsend.Request{To: fixture.AliceMail, Channel: channel.Email}).PageURL)
				b.Type("#code", s.code(channel.Email))
				b.Click("main button.main")
				b.WaitURL(s.app.URL)
			}
		}
	}
}

// languages are those of the pictures: SHOTS_LANGUAGES, else four.
func languages() []string {
	if list := os.Getenv("SHOTS_LANGUAGES"); list != "" {
		return strings.Split(list, ",")
	}
	return []string{"en", "de", "ar", "hi"}
}
