package texts

import (
	"slices"
	"strings"
	"testing"
)

func TestDenies(t *testing.T) {
	c := load(t, Options{})
	for _, tc := range []struct {
		locale string
		yes    string // replies, separated by |
		no     string
	}{
		{"en", "NO|no|No.|no!!!| n o ? |NO 🚫|❌ No ❌|ＮＯ|ｎｏ．|nO\n|\u200eno\u200f|“No”|no️|STOP|stop.|It wasn't me|it wasn’t me!|IT WAS NOT ME|" +
			"No, it wasn't me.|no no no|nooo|NOOOOO!|noooo, it wasn't meee|stoppp|I didn't|I did not request it|that is not me|I don’t recognise this|cancel|Decline.|block|nah|scam|STOPALL|unsubscribe|END|quit|opt-out|NO. STOP!|Wasn't me|*no*|_NO_|not me|n",
			"no problem, 123456|123456|NO 123456|know|yes|note|||🚫|nothing|no thanks I am fine|no thank you|not|it was me|stop it please|yes no|no yes|noo|knooow|I did|blocked by traffic|cancel my cancellation|the end|0000"},
		{"de-AT", "NEIN|nein!|Das war ich nicht.|no|Nein, das war ich nicht|NÖ|stopp|ne|Neee!|nicht angefordert", "nein danke|ja|kein Problem|das war ich|nein 123456"},
		{"fr", "NON|Arrêtez !|annulez|je n’ai rien demandé|non.|Ce n'est pas moi|Ce n’est pas moi !|c'est pas moi|ARRET", "non merci|oui|c'est moi"},
		{"es", "NO|cancela|no lo pedí|no reconozco|no fui yo|No, no fui yo.|NO HE SIDO YO", "no hay problema|si|no se"},
		{"pt-BR", "NÃO|NAO|não|Não fui eu.|não reconheço|Não pedi|nao, nao fui eu", "não sei|sim|nao tem problema"},
		{"tr", "HAYIR|değilim|hayır|Hayir|HAYIR!", "hayır teşekkürler|evet"},
		{"el", "ΟΧΙ|όχι|Οχι.|ΌΧΙ|oxi|Δεν ήμουν εγώ|ΔΕΝ ΗΜΟΥΝ ΕΓΩ", "ναι|όχι τώρα"},
		{"ru", "НЕТ|неа|не запрашивала|нeт|нет.|Это не я|НЕТ, ЭТО НЕ Я!", "нет проблем|да|это я"},
		{"uk", "НІ|Нi|нi|ні|Це не я", "ні в якому разі не пишіть|так"},
		{"ar", "لا|مو أنا|لم أطلب|La|لا.|لأ|لست أنا|لست انا|لَا|لـا", "لا مشكلة|نعم"},
		{"fa", "خیر|نه|خير|من نبودم", "نه ممنون|بله"},
		{"he", "לא|זאת לא אני|זו לא אני|לא!|זה לא אני|לֹא", "לא נורא|כן"},
		{"ur", "نہیں|نهیں|na|نہیں۔", "نہیں شکریہ|جی ہاں"},
		{"hi", "नहीं|na|नहीं।|नही|NAHI", "नहीं पता|हाँ"},
		{"bn", "না|Na|না।", "না ধন্যবাদ|হ্যাঁ"},
		{"th", "ไม่|ไม่ใช่ดิฉัน|ไม่ใช่|ไม่ใช่ฉัน|ไม่ครับ", "ไม่เป็นไร|ใช่"},
		{"ja", "いいえ|知りません|いいえ。|「いいえ」|ｲｲｴ|違います|私ではありません", "はい|いいえ大丈夫です"},
		{"ko", "아니요|ㄴㄴ|ㄴㄴㄴ|아니오!|본인 아님", "네|아니 괜찮아요"},
		{"zh-CN", "否|不是我做的|不是|不是我。|“否”|不是，不是我", "是|不客气|没问题"},
		{"zh-TW", "否|不是我|「否」|拒絕", "是|不客氣"},
		{"vi", "KHÔNG|không|khong|Không phải tôi", "không sao|có|Đúng|đúng|dung|ĐÚNG RỒI|Đúng, là tôi"},
		{"it", "NO|non l'ho richiesto io", "si|va bene"},
		{"ro", "NU|nu am cerut", "da|nu știu"},
		{"fi", "EI|En pyytänyt", "joo|kyllä"},
		{"hu", "NEM|Nem én kértem", "igen|nem tudom"},
		{"id", "TIDAK|ga|gk|gak", "ya|tidak apa-apa"},
		{"nl", "NEE|neeee|ne", "ja|nee bedankt"},
		{"nn", "NEI|nei|Det var ikkje meg", "ja|nei takk"},
		{"xx", "no|NO!", "nein"},
	} {
		for reply := range strings.SplitSeq(tc.yes, "|") {
			if want := reply != " n o ? "; c.Denies(tc.locale, reply) != want { // separate letters are not a word
				t.Errorf("Denies(%q, %q) = %v", tc.locale, reply, !want)
			}
		}
		for reply := range strings.SplitSeq(tc.no, "|") {
			if c.Denies(tc.locale, reply) {
				t.Errorf("Denies(%q, %q) = true", tc.locale, reply)
			}
		}
	}
	if long := strings.Repeat("no ", 1000); c.Denies("en", long) {
		t.Error("a reply of 3 kB denies")
	}
}

// The words for yes, as people type them, deny in no language.
func TestNoYesDenies(t *testing.T) {
	c := load(t, Options{})
	yes := map[string]string{
		"ar": "نعم|أجل|اي|ايوه|aywa", "bn": "হ্যাঁ|জি|hae", "cs": "ano|jo|jasně", "da": "ja|jo|jada", "de": "ja|jawohl|jo|genau|stimmt", "el": "ναι|nai|μάλιστα",
		"en": "yes|y|yeah|yep|ok|okay|sure|approve|it was me|accept", "es": "sí|si|vale|claro|correcto|soy yo", "fa": "بله|آره|bale", "fi": "kyllä|joo|juu",
		"fr": "oui|ouais|d'accord|c'est moi", "he": "כן|אישור", "hi": "हाँ|जी हाँ|haan|ha", "hu": "igen|ja|jó", "id": "ya|iya|benar|oke", "it": "sì|si|va bene|sono io",
		"ja": "はい|ええ|うん|私です", "ko": "네|예|응|ㅇㅇ|ㅇㅋ", "nb": "ja|jo|jepp", "nl": "ja|jawel|klopt", "pl": "tak|no tak|zgoda", "pt-BR": "sim|claro|isso|fui eu",
		"pt-PT": "sim|claro|fui eu", "ro": "da|bine|sunt eu", "ru": "да|ага|это я|хорошо", "sv": "ja|japp|jo", "th": "ใช่|ค่ะ|ครับ|ใช่ครับ", "tr": "evet|tamam|olur|benim",
		"uk": "так|ага|це я|добре", "ur": "ہاں|جی ہاں|جی|haan", "vi": "đúng|Đúng|đúng rồi|dung|có|vâng|dạ|phải|ừ|được", "zh-Hans": "是|是的|对|好|同意", "zh-Hant": "是|是的|對|好|同意|係",
	}
	for _, tag := range embeddedTags() {
		if yes[tag] == "" {
			t.Errorf("%s has no words for yes in this test", tag)
		}
		for word := range strings.SplitSeq(yes[tag], "|") {
			for _, reply := range []string{word, strings.ToUpper(word) + "!", word + " 482913"} {
				if c.Denies(tag, reply) {
					t.Errorf("%s: %q denies", tag, reply)
				}
			}
		}
	}
}

// Every language accepts the word that its messages ask for, and every phrase of its list,
// but not the code.
func TestEveryLanguageAcceptsItsOwnWords(t *testing.T) {
	c := load(t, Options{})
	for _, tag := range embeddedTags() {
		w, _ := embedded(tag)
		for _, phrase := range w.denials {
			for _, reply := range []string{phrase, strings.ToUpper(phrase), " " + phrase + "! 🙅\n"} {
				if !c.Denies(tag, reply) {
					t.Errorf("%s: %q does not deny", tag, reply)
				}
			}
		}
		for _, key := range []string{"deny", "sms_deny"} {
			text := w.texts[key]
			question := strings.LastIndexAny(text, "?？؟;")
			if text != "" && !slices.Contains(strings.Fields(strings.Trim(fold(strings.ReplaceAll(text[question+1:], "'", " ")), " ")), fold(w.denials[0])) {
				t.Errorf("%s: %q does not ask for %q", tag, text, w.denials[0])
			}
		}
		for _, reply := range []string{"482913", c.Ask(login()), c.Chat(login()), w.texts["deny"]} {
			if c.Denies(tag, reply) {
				t.Errorf("%s: %q denies", tag, reply)
			}
		}
	}
}
