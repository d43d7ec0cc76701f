package otp_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/texts"
)

var (
	six       = otp.Shape{Length: 6, Alphabet: otp.Digits}
	sixSymbol = otp.Shape{Length: 6, Alphabet: otp.Alphanumeric}
)

// as reads a text as a code, "" if it is refused.
func as(text string, shapes ...otp.Shape) string {
	typed, ok := otp.ReadTyped(text)
	if !ok {
		return ""
	}
	code, err := typed.As(shapes...)
	if err != nil {
		return ""
	}
	return code
}

// What autofill and people put around a code of six digits.
func TestTyped_FindsTheCode(t *testing.T) {
	for _, text := range []string{
		"482913", " 482 913\n", "482-913", "4 8 2 9 1 3", "482 - 913", "482913.", "482.913", "48.29.13", "4.8.2.9.1.3",
		`"482913"`, "“482 913”", "«482913»", "‘482913’", "「482913」", "(482913)", "[482913]", "<482913>", "*482913*", "_482913_", "`482913`", "482913,", "482913!",
		"\u200e482913\u200f", "\ufeff482913", "48\u200b2913", "482\u00ad913", "4️⃣8️⃣2️⃣9️⃣1️⃣3️⃣", "４８２９１３", "٤٨٢٩١٣", "۴۸۲۹۱۳", "४८२९१३", "๔๘๒๙๑๓", "٤٨٢ ٩١٣",
		"G-482913", "g-482913", "G - 482913", "FB-482913", "Acme-482913", "Acme: 482913", "Acme:482913", "Acme 482913", "ACME – 482 913", "Code:482913", "#482913",
		"O2: 482913", "Bank24 482913", "7-Eleven: 482913", "Studio 54: 482913",
		"482913 is your Acme sign-in code. Expires in 10 min. Don't share it with anyone.",
		"Your code is 482913. 10 minutes left.", "Acme: 482 913 ist Ihr Code, 10 Minuten gültig.", "<#> Your Acme code is 482913\nFA+9qCX9VSu",
		"Your code is 482913.\n@acme.example #482913", "482913\n@login9.acme.example #482913", "482913 is your code.\n\n482913", "482913\n10",
		"【Acme】您的验证码是482913，5分钟内有效。", "認証コードは482913です。", "인증번호[482913]를 입력하세요", "รหัสของคุณคือที่482913", "رمزك هو ٤٨٢٩١٣، صالح لمدة ١٠ د.",
		"482913 approves EUR 1,234.56 to Acme.", "Amount: 5 EUR. 482913 is your code.", "Pay 1234.56 EUR. Code: 482913", "Rs 150000 to Acme. Code 482913", "¥150000: 482913", "482913 for $ 123456",
		"Code 482913 (10 min)", "26/11/2026 12:30:45 code 482913", "Call +1 415 555 0123. Code: 482913", "Call (415) 555-0123, code 482913",
		"code: “482913”, thanks", "https://acme.example/123456 code: 482913",
	} {
		if got := as(text, six); got != "482913" {
			t.Errorf("%q: read as %q", text, got)
		}
	}
}

// Nothing is guessed: no part of a longer number, none of several, and no amount, date
// or telephone number.
func TestTyped_RefusesWhatIsNoCode(t *testing.T) {
	for _, text := range []string{
		"", "!", " ", "4", "48291", "4829134", "48291300", "12 345678", "345678 12", "1234-5678", "123.4567", "1234.56", "12345.6", "482,913", "1,234.56", "1 234,56",
		"+482913", "-", "..", "482913..5", "482913/123456", "482913 123456", "482913, 123456", "482913\n123456", "482913;12", "482_913x",
		"48291O", "4829l3", "G482913", "482913G", "AB482913", "12482913 is your code", "my number is 4155550123", "(12) 345678", "0170 - 123456", "0170/123456", "+123456", "(+123456)",
		"Pay 1234.56 EUR", "Pay EUR 123456", "pay 123456 EUR", "€123456", "€ 123456", "123456 ₩", "Rp 123456", "123456円", "123.456,78 EUR", "123456.78", "12:34:56", "12.34.2026 code", "26/11/26",
		"Code 482913 or 123456?", "Order 123456, code 482913", "482913 10 minutes", "order AB-12-345678", "order AB12-CD-345678", "ABCD-EFGH-JKLM-482913", "https://acme.example/482913", "code=482913", "mail 482913@acme.example", "482913.example", "?a=1&b=482913&c", "50%482913",
		"482913\x00", "482913\x1b[0m", "482913\xff", "12345²6", "482913²", "①482913", "482913\u0301", "д482913", "Ω482913",
		strings.Repeat("1", 65), "482913" + strings.Repeat(" ", otp.MaxTyped), "no code at all", "four eight two nine one three",
	} {
		if got := as(text, six); got != "" {
			t.Errorf("%q: read as %q, want a refusal", text, got)
		}
	}
}

// Words look like codes with letters, so they are read more strictly.
func TestTyped_CodesWithLetters(t *testing.T) {
	for text, want := range map[string]string{
		"K7QW3N": "K7QW3N", "k7qw3n": "K7QW3N", " k7q-w3n ": "K7QW3N", `"K7QW3N".`: "K7QW3N", "Ｋ７ＱＷ３Ｎ": "K7QW3N",
		"G-K7QW3N": "K7QW3N", "Acme: K7QW3N": "K7QW3N", "Acme: K7QW3N is your code, please keep it.": "K7QW3N", "您的验证码是K7QW3N，请勿告知他人。": "K7QW3N",
		"Code K7QW3N.\n@acme.example #K7QW3N": "K7QW3N", "\u200fK7QW3N هو رمزك": "K7QW3N",
		"K7QW3N or ABC234": "", "DANGER: code K7QW3N": "", "please enter k7qw3n": "", "K7QWON": "", "K7QW1N": "", "K7QW3": "", "K7QW3NN": "", "code K7Q-W3N": "", "see K7QW3N-22": "", "AB12-K7QW3N": "",
		"ABCD-EFGH-K7QW3N": "", "x.example/K7QW3N": "", "K7QW3N.example is a host": "", "the KEYS of my garden": "", "ÄBCDEF": "", "АВСDEF code": "", "a K7QW3N's code": "", "K7QW3N@acme.example is it": "",
	} {
		if got := as(text, sixSymbol); got != want {
			t.Errorf("%q: read as %q, want %q", text, got, want)
		}
	}
}

// A text may have to fit one of several shapes: the whole text counts first, and what
// fits two of them differently is refused.
func TestTyped_SeveralShapes(t *testing.T) {
	eight, ten := otp.Shape{Length: 8, Alphabet: otp.Digits}, otp.Shape{Length: 10, Alphabet: otp.Alphanumeric}
	for text, want := range map[string]string{
		"482913": "482913", "12345678": "12345678", "code 482913": "482913", "482913 and, 12345678": "", "ACME-482953": "ACME482953", "1234567": "", "please use 482913, ABCDEFGH23": "",
	} {
		if got := as(text, six, eight, ten); got != want {
			t.Errorf("%q: read as %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]error{"code 123456, 654321": otp.ErrSeveral, "1234567": otp.ErrForm, "": otp.ErrForm, "123456 or, 12345678": otp.ErrSeveral} {
		typed, _ := otp.ReadTyped(text)
		if _, err := typed.As(six, eight); !errors.Is(err, want) || !errors.Is(err, otp.ErrForm) || want == otp.ErrForm && errors.Is(err, otp.ErrSeveral) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	typed, _ := otp.ReadTyped("12345")
	for want, shapes := range map[string][]otp.Shape{
		"The code has 6 digits; this has 5 digits. No try was spent.":                                                 {six},
		"The code has 6 or 8 digits; this has 5 digits. No try was spent.":                                            {six, eight, six},
		"The code has 6 digits or 10 letters and digits, without 0, O, 1 and I; this has 5 digits. No try was spent.": {six, ten},
	} {
		if _, err := typed.As(shapes...); err == nil || err.Fields[0].Name != "code" || err.Fields[0].Message != want {
			t.Errorf("%v: %+v, want %q", shapes, err, want)
		}
	}
}

// Every spelling that ReadCode reads is read alike, for each shape.
func TestTyped_ReadsEverySpellingOfReadCode(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := otp.Shape{Length: rapid.IntRange(4, 10).Draw(t, "length"), Alphabet: rapid.SampledFrom([]otp.Alphabet{otp.Digits, otp.Alphanumeric}).Draw(t, "alphabet")}
		code := rapid.StringOfN(rapid.SampledFrom([]rune(s.Alphabet.Symbols())), s.Length, s.Length, -1).Draw(t, "code")
		if got := as(respell(t, code), s); got != code {
			t.Fatalf("got %q, want %q", got, code)
		}
	})
}

// A code is never found inside a longer number, whatever separates its digits.
func TestTyped_FindsNothingInsideALongerNumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(7, 20).Draw(t, "digits")
		number := rapid.StringOfN(rapid.SampledFrom([]rune("0123456789")), n, n, -1).Draw(t, "number")
		var b strings.Builder
		for i, r := range number {
			if i > 0 {
				b.WriteString(rapid.SampledFrom([]string{"", "", "", "", " ", "-", ".", ",", "/", " / ", ":", "'", "\u202f", "–", ") "}).Draw(t, "between"))
			}
			b.WriteRune(r)
		}
		text := rapid.SampledFrom([]string{"%s", "Code %s.", "(%s)", "is %s\nok", "您的%s号"}).Draw(t, "around")
		if got := as(fmt.Sprintf(text, b.String()), six); got != "" {
			t.Fatalf("%q: read as %q", fmt.Sprintf(text, b.String()), got)
		}
	})
}

// Each of our own messages can be pasted as a whole.
func TestTyped_EveryMessageOfOurOwn(t *testing.T) {
	t.Parallel()
	catalogue, err := texts.Load(texts.Options{Origin: "acme.example"})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../texts/catalogue/*.json")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		tag := strings.TrimSuffix(filepath.Base(file), ".json")
		for _, shape := range []otp.Shape{six, {Length: 8, Alphabet: otp.Digits}, {Length: 8, Alphabet: otp.Alphanumeric}} {
			code := map[otp.Shape]string{six: "482913"}[shape]
			if code == "" {
				code = map[otp.Alphabet]string{otp.Digits: "48291357", otp.Alphanumeric: "K7QW3NPD"}[shape.Alphabet]
			}
			for _, purpose := range []string{"login", "pay"} {
				for _, amount := range []string{"", "EUR 1,234.56", "1.234,56 €", "₹12,34,567.00"} {
					m := notify.Message{Locale: tag, Code: code, Brand: "Acme", Purpose: purpose, Amount: amount, ValidFor: 10 * time.Minute, CanDeny: true}
					_, mail, _ := catalogue.Mail(m)
					for _, text := range []string{catalogue.Chat(m), catalogue.SMS(m), mail} {
						checked++
						if got := as(text, shape); got != code {
							t.Errorf("%s: %q: read as %q", tag, text, got)
						}
					}
				}
			}
		}
	}
	if checked < 1000 {
		t.Errorf("only %d messages", checked)
	}
}

func FuzzReadTyped(f *testing.F) {
	for _, seed := range []string{"", "482913", "G-482913", "482.913", "Acme: 482 913. 10 min", "1234.56", "K7QW3N", "\u200e٤٨٢٩١٣", "(415) 555-0123", "\xff", "EUR 123456"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		typed, ok := otp.ReadTyped(text)
		for length := otp.MinCodeLength; length <= otp.MaxCodeLength; length++ {
			for _, alphabet := range []otp.Alphabet{otp.Digits, otp.Alphanumeric} {
				s := otp.Shape{Length: length, Alphabet: alphabet}
				code, err := typed.As(s)
				switch {
				case err == nil && (!ok || !s.Fits(code)):
					t.Errorf("%q: read as %q for %+v", text, code, s)
				case err != nil && code != "":
					t.Errorf("%q: refused, and yet %q", text, code)
				case err == nil:
					if again := as(code, s); again != code {
						t.Errorf("%q: read as %q, and that as %q", text, code, again)
					}
				}
			}
		}
	})
}
