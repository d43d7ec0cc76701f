package users_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/users"
)

func TestAlert_DetailsThatAreShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                        "",
		"Berlin, Germany":         "Berlin, Germany",
		"  St.  Gallen\u00a0":     "St. Gallen",
		"Cafe\u0301":              "Café",
		"東京都、日本":                  "東京都、日本",
		"تهران، ایران":            "تهران، ایران",
		"Firefox 128 on Linux":    "Firefox 128 on Linux",
		"Windows 11, Edge 126":    "Windows 11, Edge 126",
		"iPhone 15 Pro, iOS 17.5": "iPhone 15 Pro, iOS 17.5",
		"Safari/Mac":              "Safari/Mac",
		strings.Repeat("ü", 40):   strings.Repeat("ü", 40),
	} {
		if form, err := users.ReadDetail(in); err != nil || form != want {
			t.Errorf("%q: %q, %v", in, form, err)
		}
	}
}

// Attack 39. What looks like a code or a link, and what changes the text around it, is
// refused.
func TestAttack39_DetailsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][]string{
		"codes": {
			"482913", "code 4829", "48 29", "48-29-13", "4\u200b8\u200d2\u20609", "4\u00ad829", "4.8.2.9", "4,829", "48\u201329", "48\u30fc29", "48一29", "48ㅡ29", "48ʼ29", "4_8_2_9",
			"٤٨٢٩", "४८२९", "４８２９", "𝟒𝟖𝟐𝟗", "4٨२９", "④⑧②⑨", "⑫⑫", "⁴⁸²⁹", "₄₈₂₉", "4️⃣8️⃣2️⃣9️⃣", "½½", "4\u03018\u03012\u03019", "48 🙂 29", "iOS 17.5.1, 8", "1.2.3.4", "2001:db8", "(48)29", "48/29",
		},
		"links": {
			"https://evil.test", "http:/evil", "//evil", "www.evil", "evil.test", "EVIL.TEST", "evil。test", "evil｡test", "evil．test", "evil․test", "evil﹒test", "evil.\u0301test", "evil.\u200btest", "evil.\u00adtest",
			"ｗｗｗ．evil", "ｅvil．ｔest", "https：／／evil", "evil.コム", "me@evil", "me＠evil", "me﹫evil", "x1.com", "a…b", "bit.ly/x", "see .com", "@evil #1",
		},
		"placeholders":       {"{{1}}", "{brand}", "{", "x}", "｛1｝", "︷"},
		"control characters": {"a\nb", "a\x00b", "a\u202eb", "a\u2066b\u2069", "\x1b[31m", "a\tb", "\u2028", "\ue000"},
		"nothing to see":     {" ", "\u200b", "\u0301", "\u3164"},
		"too long":           {strings.Repeat("x", 41), strings.Repeat("long ", 2000)},
		"no UTF-8":           {"\xff"},
	} {
		for _, text := range texts {
			if form, err := users.ReadDetail(text); err == nil {
				t.Errorf("%s: %q is shown as %q", name, text, form)
			}
		}
	}
	r := telling(t, number)
	_, err := r.s.Alert(r.Ctx(), "alice", users.AlertRequest{Event: "hacked", Detail: users.Detail{Place: "evil.test", Device: "482913"}})
	wantFields(t, err, "detail.device", "detail.place", "event")
	_, err = r.s.Alert(r.Ctx(), "a\n", users.AlertRequest{})
	wantFields(t, err, "event", "user")
	if r.Sent() != 0 || len(r.Recipient(number).Notices) != 0 {
		t.Errorf("%d messages, %d notices", r.Sent(), len(r.Recipient(number).Notices))
	}
}

var (
	words    = rapid.StringMatching(`[a-zа-я]{0,5}`)
	oneDigit = rapid.Custom(func(t *rapid.T) string {
		zero := rapid.SampledFrom([]rune{'0', '٠', '۰', '०', '০', '๐', '０', '𝟎', '𝟘', '𞥐', '᠐'}).Draw(t, "script")
		return string(zero + rune(rapid.IntRange(0, 9).Draw(t, "digit")))
	})
	separator = rapid.SampledFrom([]string{"", "", " ", "\u00a0", "\u2009", "\u3000", "-", "\u2010", "\u2013", "\u2212", ".", "·", ",", "/", "'", "\u200b", "\u200d", "\u00ad", "\u2060", "\u0301", "\ufe0f", "\u20e3", "🙂", "ー", " - "})
)

// Digits of any scripts with anything but letters between them are refused, wherever they
// stand.
func TestAttack39_NoCodePasses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := words.Draw(t, "before")
		for i := range rapid.IntRange(otp.MinCodeLength, 8).Draw(t, "digits") {
			if i > 0 {
				text += separator.Draw(t, "separator")
			}
			text += oneDigit.Draw(t, "digit")
		}
		if form, err := users.ReadDetail(text + words.Draw(t, "after")); err == nil {
			t.Fatalf("%q is shown as %q", text, form)
		}
	})
}

// Host names are refused with every dot that a browser knows, in every width, with every
// invisible character in them.
func TestAttack39_NoLinkPasses(t *testing.T) {
	t.Parallel()
	invisible := rapid.SampledFrom([]string{"", "", "\u200b", "\u200d", "\u00ad", "\u2060", "\ufeff", "\ufe0f", "\u034f", "\u200e"})
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[a-z][a-z0-9]{0,5}`).Draw(t, "label")
		dot := rapid.SampledFrom([]string{".", "。", "．", "｡", "﹒", "․"}).Draw(t, "dot")
		host := label + invisible.Draw(t, "before") + dot + invisible.Draw(t, "after") + rapid.SampledFrom([]string{"com", "ly", "CoM", "ｃｏｍ", "рф", "xn--p1ai", "コム", "भारत"}).Draw(t, "tld")
		link := rapid.SampledFrom([]string{"", "", "https://", "a@", "www."}).Draw(t, "start") + host + rapid.SampledFrom([]string{"", "/x", "?x"}).Draw(t, "end")
		text := rapid.SampledFrom([]string{"", "see ", "("}).Draw(t, "text") + link
		if form, err := users.ReadDetail(text); err == nil {
			t.Fatalf("%q is shown as %q", text, form)
		}
	})
}

var (
	likeALink   = regexp.MustCompile(`(?i)://|www\.|@|[\pL\pN]\.\pL`)
	digitsClose = regexp.MustCompile(`[0-9]([^\pL]*[0-9]){3}`)
)

// Nothing that passes is read as a code by the service itself, or looks like a link.
func FuzzReadDetail(f *testing.F) {
	for _, seed := range []string{"Berlin", "Pixel 8", "48 29", "٤٨٢٩", "evil.test", "evil。test", "{{1}}", "a\u202eb", "④⑧②⑨", "48ー29", "St. Gallen", "👩\u200d🍳", "\xff", "iOS 17.5", "می\u200cخواهم"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		form, err := users.ReadDetail(text)
		if err != nil {
			if !problem.Is(err, problem.InvalidRequest) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if again, err := users.ReadDetail(form); err != nil || again != form {
			t.Fatalf("%q is shown as %q, and that as %q, %v", text, form, again, err)
		}
		if got := notify.OneLine(form, notify.MaxDetail); got != form {
			t.Fatalf("%q is shown as %q, but a message has %q", text, form, got)
		}
		for _, r := range form {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '{' || r == '}' {
				t.Fatalf("%q is shown with %U", text, r)
			}
		}
		folded := norm.NFKC.String(form)
		if likeALink.MatchString(folded) || digitsClose.MatchString(folded) {
			t.Fatalf("%q is shown as %q", text, form)
		}
		for length := otp.MinCodeLength; length <= otp.MaxCodeLength; length++ {
			typed, ok := otp.ReadTyped("Place: " + form + ".")
			if !ok {
				break
			}
			if code, err := typed.As(otp.Shape{Length: length, Alphabet: otp.Digits}); err == nil {
				t.Fatalf("%q is shown as %q, which has the code %q", text, form, code)
			}
		}
	})
}
