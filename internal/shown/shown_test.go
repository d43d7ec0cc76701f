package shown_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"twofa/internal/shown"
)

func TestForm(t *testing.T) {
	for text, want := range map[string]string{
		"":          "",
		"EUR 25.00": "EUR 25.00",
		// Spaces.
		"1\u202f234,50\u00a0€": "1 234,50 €", "1\u2009234\u2007567": "1 234 567", "東京\u3000電力": "東京 電力", "a\u1680b\u2000c\u205fd": "a b c d",
		"  a \u00a0 b\u202f": "a b", "\u00a0": "", "a\u2800b\u3164c\uffa0": "a b c",
		// Marks.
		"\u200f1,234.50\u00a0\u200f₪": "1,234.50 ₪", "\u061c-5": "-5", "\u200e$5": "$5", "\ufeffAcme": "Acme", "Do\u00adnau": "Donau",
		"ร้าน\u200bกาแฟ": "ร้านกาแฟ", "a\u2060b": "ab", "ᠮᠣᠩᠭᠣᠯ\u202fᠤᠨ": "ᠮᠣᠩᠭᠣᠯ ᠤᠨ", "x\u034fy": "xy",
		// Selectors.
		"❤\ufe0f": "❤", "1\ufe0f\u20e3": "1\u20e3", "葛\U000e0100城": "葛城",
		// NFC.
		"Cafe\u0301": "Café", "\u1112\u1161\u11ab": "한", "e\u200e\u0301": "é", "\u212b": "Å", "ガ": "ガ", "カ\u3099": "ガ",
		// Joiners that a script or an emoji needs.
		"می\u200cخواهم": "می\u200cخواهم", "ශ්\u200dරී": "ශ්\u200dරී", "क्\u200dष": "क्\u200dष", "র\u200d্যাম": "র\u200d্যাম", "അവന്\u200d 5": "അവന്\u200d 5",
		"👩\u200d🍳": "👩\u200d🍳", "👩🏽\u200d🍳": "👩🏽\u200d🍳", "🏳\ufe0f\u200d🌈": "🏳\u200d🌈", "🧑\u200d⚖\ufe0f": "🧑\u200d⚖", "🙂\u200d↔\ufe0f": "🙂\u200d↔",
		// And others.
		"می\u200c\u200d\u200cخواهم": "می\u200cخواهم", "A\u200dcme": "Acme", "Acme\u200d": "Acme", "\u200dAcme": "Acme", "Acme \u200cLtd": "Acme Ltd",
		"می\u200c": "می", "نرم PDF\u200cها": "نرم PDFها", "۲۴\u200cساعته": "۲۴ساعته", "1\u200d2": "12", "👩\u200c🍳": "👩🍳", "👩\u200d": "👩", "evil.\u200dexample": "evil.example",
		// What is refused stays.
		"a\nb": "a\nb", "a\u202eb": "a\u202eb", "\u2068a\u2069": "\u2068a\u2069", "a\tb": "a\tb", "\xffe\u0301": "\xffe\u0301", "a\n": "a\n",
	} {
		if got := shown.Form(text); got != want {
			t.Errorf("Form(%+q) = %+q, want %+q", text, got, want)
		}
	}
}

func TestRead_SaysWhyATextIsNotShown(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "Acme": "", "\u200e" + strings.Repeat("e\u0301 ", 20) + "e\u0301": "At most 40", strings.Repeat("e\u0301", 40) + "\u00a0": "",
		" ": "visible", "\u200e": "visible", "\u0301": "visible", "\u200d": "visible", "\u3164": "visible", "\ufe0f": "visible",
		"a\u2028b": "one line", "a\r": "one line", "\u202aa\u202c": "embedding", "a\U000e0041": "printable", "\ue000": "printable", "a\u0378": "printable",
		"a" + strings.Repeat("\u0301", 32): "pile", "\xff": "UTF-8", "a\ufffd": "",
		"\u20c1\u00a025": "", "\U0001fae9": "", "\U0001f8ff x": "", // newer than Go's tables
	} {
		form, fault := shown.Read(text, 40)
		if (want == "") != (fault == "") || !strings.Contains(fault, want) || form != shown.Form(text) {
			t.Errorf("Read(%+q): %+q, %q; want %q", text, form, fault, want)
		}
		if fault != "" && strings.TrimSpace(text) != "" && strings.Contains(fault, text) {
			t.Errorf("the fault of %+q quotes it", text)
		}
	}
}

// Every amount of a standard formatter in every locale, and names in every script, have a
// form that may be shown.
func TestRead_TakesWhatFormattersWrite(t *testing.T) {
	data, err := os.ReadFile("testdata/intl.json")
	if err != nil {
		t.Fatal(err)
	}
	var intl struct {
		Amounts map[string][]string
		Payees  []string
	}
	if err := json.Unmarshal(data, &intl); err != nil || len(intl.Amounts) < 60 || len(intl.Payees) < 60 {
		t.Fatalf("%v, %d locales, %d payees", err, len(intl.Amounts), len(intl.Payees))
	}
	intl.Amounts["payees"] = intl.Payees
	changed := 0
	for locale, texts := range intl.Amounts {
		for _, text := range texts {
			form, fault := shown.Read(text, 40)
			if fault != "" || utf8.RuneCountInString(form) > utf8.RuneCountInString(text) {
				t.Errorf("%s: %+q is %+q: %s", locale, text, form, fault)
			}
			if form != text {
				changed++
			}
		}
	}
	if changed < 1000 {
		t.Errorf("the form changed only %d texts: is the data what the formatter writes?", changed)
	}
}
