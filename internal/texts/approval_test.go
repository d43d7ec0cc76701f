package texts

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/notify"
)

// asked are the messages whose text of Ask the tests send, in a language.
func asked(tag string) []notify.Message {
	return []notify.Message{inLanguage(tag, login()), inLanguage(tag, payment()), inLanguage(tag, notify.Message{Code: "482913", Brand: "Acme", Purpose: "other"})}
}

// The text of Ask, the code alone in every spelling that a check reads, and the code
// among harmless words approve, and do not deny.
func TestApproves(t *testing.T) {
	t.Parallel()
	c := load(t, Options{})
	m := notify.Message{Code: "751002", Brand: "Acme", Purpose: "login"}
	for locale, texts := range map[string]string{
		"en": "751002|751 002|751-002|75 10 02|751\u00a0002|751\u2011002|７５１００２|٧٥١٠٠٢|۷۵۱ ۰۰۲|७५१००२|\u200e751002\u200f|*751002*|\"751002\"|`751002`|\n751002.\n|7\ufe0f\u20e35\ufe0f\u20e31\ufe0f\u20e30\ufe0f\u20e30\ufe0f\u20e32\ufe0f\u20e3|" +
			"Code: 751002|code:751002|Code 751 002|CODE751002|№ 751002|Code n° 751002|yes 751002|751002 yes|OK, 751002!|Approved. Code: 751002|751002 👍|✅ 751002|I approve. Code: 751002|I approve this request 751002|751002 thank you|751002 751002",
		"de": "Code: 751002|ja, 751002|yes 751002|Ich bestätige 751002|ICH BESTÄTIGE DIE ANMELDUNG. CODE: 751002",
		"fr": "Code : 751002|oui 751002|J’autorise la connexion 751002|d’accord 751002",
		"el": "Κωδικός: 751002|ναι 751002", "vi": "Mã: 751002|Đúng 751002|đúng, 751002", "ja": "コード：751002|はい 751002|コード751002", "ko": "네 751002",
		"ar": "الرمز: ٧٥١٠٠٢|نعم 751002", "hi": "कोड: ७५१००२|जी हाँ 751002", "zh-CN": "验证码：751002|验证码751002|同意 751002",
	} {
		for text := range strings.SplitSeq(texts, "|") {
			m.Locale = locale
			if !c.Approves(m, text) || c.DeniesWithCode(m, text) || c.Denies(locale, text) {
				t.Errorf("%s: %q approves: %t, denies: %t", locale, text, c.Approves(m, text), c.DeniesWithCode(m, text))
			}
		}
	}
	for _, tag := range embeddedTags() {
		for _, m := range asked(tag) {
			ask := c.Ask(m)
			for _, text := range []string{ask, strings.ToUpper(ask) + " ", strings.ReplaceAll(ask, " ", "\n"), strings.Map(dropIsolates, ask)} {
				if !c.Approves(m, text) || c.DeniesWithCode(m, text) || c.Denies(tag, text) {
					t.Errorf("%s: %q approves: %t, denies: %t", tag, text, c.Approves(m, text), c.DeniesWithCode(m, text))
				}
			}
		}
	}
	m = notify.Message{Code: "7AAAK2", Brand: "Acme", Purpose: "login"}
	for text, want := range map[string]bool{"7AAAK2": true, "7aaa-k2": true, "code 7aaak2": true, c.Ask(m): true, "7AK2": false, strings.Replace(c.Ask(m), "AAA", "A", 1): false, "no 7AAAK2": false} {
		if c.Approves(m, text) != want {
			t.Errorf("%q approves: %t", text, !want)
		}
	}
}

func dropIsolates(r rune) rune {
	if r == '\u2068' || r == '\u2069' {
		return -1
	}
	return r
}

// Attack 24. Texts that say no, or may say no, beside the right code. + denies.
func TestAttack24_ATextWithAnotherMeaningApprovesNothing(t *testing.T) {
	t.Parallel()
	c := load(t, Options{})
	m := notify.Message{Code: "482913", Brand: "Acme", Purpose: "login"}
	for locale, texts := range map[string]string{
		"en": "+NO 482913|+no, 482913!|+NO482913|+STOP 482913|+stop. 482 913|+Not me: 482913|+482913 no|+It wasn't me 482913|+No. I approve this sign-in to Acme. Code: 482913|+CANCEL 482913|+QUIT 482913|+END 482913|+STOPALL 482913|+UNSUBSCRIBE 482913|+ＮＯ 482913|+nooo 482913|+no ４８２９１３|+n 482913|+no problem 482913|" +
			"I do NOT approve. Code: 482913|I don't approve this sign-in to Acme. Code: 482913|I approve nothing 482913|I never asked for 482913|Code 482913? No!|Code: 482913?|482913 ?|Is this yours: 482913|482913 is not mine|who sent me 482913|" +
			"I approve this sign-in to Acme. Code: 482913 NOT|I approve this sign-in to Acme. Code: 482913. Just kidding|🚫 482913|❌482913|482913 👎|~482913~|~I approve this sign-in to Acme. Code: 482913~|I\u0336 approve 482913|4\u03368\u0336291\u03363|≠482913|" +
			"nein 482913|いいえ 482913|не 482913|ΝΟ 482913|+N0 482913|🅽🅾 482913|i disapprove 482913|please stop 482913|thank you but 482913 was someone else|yes I deny 482913|482913 1|1482913|4829130|48291|482913 751002|²482913|48²913|+no, 4 82 913|don’t 482913|✂482913|482913 \ue000",
		"de": "+nein, 482913|+NEIN 482913|+NO 482913|+Stopp 482913|+Das war ich nicht 482913|+nein. Ich bestätige die Anmeldung bei Acme. Code: 482913|Ich bestätige die Anmeldung bei Acme nicht. Code: 482913|Ich bestätige nicht. Code: 482913|kein Code 482913",
		"fr": "+non 482913|+Ce n’est pas moi 482913|je n'autorise pas 482913|J'autorise pas la connexion à Acme. Code : 482913", "es": "+no 482913|+no fui yo, 482913|yo nunca 482913|+no autorizo... 482913|n",
		"ja": "+いいえ 482913|+違います 482913|Acme へのログインを承認しません。コード：482913", "ko": "+아니요 482913|Acme 로그인을 승인하지 않습니다. 인증번호: 482913", "tr": "+hayır 482913|Acme girişini onaylamıyorum. Kod: 482913",
		"zh-CN": "+不是我 482913|+否 482913|我不同意登录 Acme。验证码：482913|不同意登录 482913", "vi": "+Không 482913|+khong phai toi 482913|Tôi không đồng ý 482913|dung 482913|dừng 482913",
		"ar": "+لا ٤٨٢٩١٣|+لا أوافق. الرمز: 482913", "hi": "+नहीं 482913|मुझे मंज़ूर नहीं है। कोड: 482913", "he": "+לא 482913|אני לא מאשר 482913", "fa": "+نه 482913|تأیید نمی\u200cکنم 482913", "th": "+ไม่ใช่ 482913|ฉันไม่อนุมัติ 482913", "ru": "+нет 482913|+Не подтверждаю вход в Acme. Код: 482913", "pl": "+nie 482913|+Nie zatwierdzam. Kod: 482913", "fi": "+en 482913",
	} {
		for text := range strings.SplitSeq(texts, "|") {
			text, denies := strings.CutPrefix(text, "+")
			m.Locale = locale
			if c.Approves(m, text) {
				t.Errorf("%s: %q approves", locale, text)
			}
			if got := c.DeniesWithCode(m, text); got != denies {
				t.Errorf("%s: %q denies: %t", locale, text, got)
			}
		}
	}
	// The code may be that of an earlier message.
	for text, want := range map[string]bool{"NO 111111": true, "111 111 stop": true, "NO 12": false, "NO 12345678901": false, "no 1111 2222 33": true, "NO 111111 or 222222": false, "no problem 111111": false, "111111": false, "": false, "no": false, "NAH23456": false, "NO111111": false, "NO482913": true} {
		m.Locale = "en"
		if got := c.DeniesWithCode(m, text); got != want {
			t.Errorf("%q denies: %t", text, got)
		}
	}
}

// Attack 24, in every language: no phrase that means no, before or behind the code or
// our own text, leaves an approval.
func TestAttack24_EveryDenialOfEveryLanguage(t *testing.T) {
	t.Parallel()
	c := load(t, Options{})
	english, _ := embedded(English)
	for _, tag := range embeddedTags() {
		w, _ := embedded(tag)
		m := inLanguage(tag, payment())
		for _, phrase := range append(w.denials, english.denials...) {
			for _, said := range []string{phrase + " " + m.Code, strings.ToUpper(phrase) + ", 482 913", phrase + "\n" + c.Ask(m)} {
				if c.Approves(m, said) || !c.DeniesWithCode(m, said) {
					t.Errorf("%s: %q approves: %t, denies: %t", tag, said, c.Approves(m, said), c.DeniesWithCode(m, said))
				}
			}
			for _, said := range []string{m.Code + " " + phrase, c.Ask(m) + ". " + phrase} {
				if c.Approves(m, said) {
					t.Errorf("%s: %q approves", tag, said)
				}
			}
		}
	}
}

// Attack 24. No phrase that means no consists of words that are harmless beside a code.
func TestAttack24_NoDenialIsHarmless(t *testing.T) {
	t.Parallel()
	c := load(t, Options{})
	for _, tag := range embeddedTags() {
		harmless := c.harmlessWords(tag)
		if len(harmless) < 20 {
			t.Errorf("%s: %d words", tag, len(harmless))
		}
		for _, other := range embeddedTags() {
			w, _ := embedded(other)
			for _, phrase := range w.denials {
				words := readReply(phrase).words
				every := true
				for _, word := range words {
					every = every && harmless[word]
				}
				if every && (other == tag || other == English) {
					t.Errorf("%s: %q of %s is harmless", tag, phrase, other)
				}
			}
		}
	}
}

// Brand, amount and payee come from outside. Their words count only as a part of the
// whole text.
func TestAttack24_WordsOfThePayeeDoNotCount(t *testing.T) {
	t.Parallel()
	c := load(t, Options{})
	for _, value := range []string{"Do Not Disturb", "No Frills", "not", "Never Ltd", "Nein!", "don't", "🚫"} {
		for _, locale := range []string{"tr", "ja", "en"} { // in some, the brand comes first
			m := notify.Message{Code: "482913", Brand: value, Payee: value, Amount: "EUR 1", Locale: locale, Purpose: "login"}
			for range 2 {
				if !c.Approves(m, c.Ask(m)) || c.DeniesWithCode(m, c.Ask(m)) {
					t.Errorf("%q does not approve", c.Ask(m))
				}
				m.Payee, m.Amount = "", ""
			}
		}
		m := notify.Message{Code: "482913", Brand: value, Payee: value, Amount: "EUR 1"}
		for _, text := range []string{"I " + value + " approve. Code: 482913", value + " 482913", "482913 " + value, value + " " + c.Ask(m), c.Ask(m) + " " + value} {
			if c.Approves(m, text) {
				t.Errorf("%q approves", text)
			}
		}
	}
}

// Attack 24. The words of a denial deny, even if the operator's own text has them.
func TestAttack24_WordsOfTheOperatorsText(t *testing.T) {
	t.Parallel()
	c := load(t, Options{Dir: folder(t, map[string]string{"en.json": `{"ask_login": "I approve, and I know this was me and not another one: {brand}. Or I decline."}`})})
	m := notify.Message{Code: "482913", Brand: "Acme", Purpose: "login"}
	if ask := c.Ask(m); !c.Approves(m, ask) || !c.Approves(m, "I approve 482913") {
		t.Errorf("%q does not approve", ask)
	}
	for _, text := range []string{"decline 482913", "482913 decline", "I decline 482913", "not me 482913", "this was not me. 482913", "482913 this was not me"} {
		if c.Approves(m, text) {
			t.Errorf("%q approves", text)
		}
	}
}

// Whatever a person writes, a text that begins with a denial approves nothing, and no
// text both approves and denies.
func TestAttack24_AnyTextBehindADenial(t *testing.T) {
	t.Parallel()
	c := load(t, Options{})
	rapid.Check(t, func(t *rapid.T) {
		tag := rapid.SampledFrom(embeddedTags()).Draw(t, "language")
		w, _ := embedded(tag)
		m := rapid.SampledFrom(asked(tag)).Draw(t, "message")
		pieces := []string{m.Code, "482 913", c.Ask(m), "Code:", "I approve", "yes", " ", ", ", "\n", "!", "👍", "\u200e", "x", "7"}
		rest := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 6).Draw(t, "rest"), "")
		denial := rapid.SampledFrom(w.denials).Draw(t, "denial")
		if text := denial + rapid.SampledFrom([]string{" ", ", ", "\n", " - "}).Draw(t, "gap") + rest; c.Approves(m, text) {
			t.Fatalf("%s: %q approves", tag, text)
		}
		if c.Approves(m, rest) && (c.Denies(tag, rest) || c.DeniesWithCode(m, rest)) {
			t.Fatalf("%s: %q approves and denies", tag, rest)
		}
	})
}

// FuzzApproves reads arbitrary texts. One that approves has the code, and a word more
// changes that.
func FuzzApproves(f *testing.F) {
	for _, seed := range []string{"482913", "482 913", "NO 482913", "I approve this sign-in to Acme. Code: 482913", "٤٨٢٩١٣", "48²913", "№ 482913", "yes 482913?", "\xff482913", "n° 4", "4\u0336"} {
		f.Add("de", seed)
	}
	c := load(f, Options{})
	f.Fuzz(func(t *testing.T, locale, text string) {
		m := notify.Message{Code: "482913", Brand: "Acme", Purpose: "login", Locale: locale}
		denies := c.DeniesWithCode(m, text)
		if !c.Approves(m, text) {
			return
		}
		if denies || c.Denies(locale, text) {
			t.Fatalf("%q approves and denies", text)
		}
		if !strings.Contains(strings.Join(readReply(text).words, ""), m.Code) {
			t.Fatalf("%q approves without the code", text)
		}
		for _, more := range []string{"no " + text, text + " not", text + " ❌"} {
			if c.Approves(m, more) {
				t.Fatalf("%q approves", more)
			}
		}
	})
}
