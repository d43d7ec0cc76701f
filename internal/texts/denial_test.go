package texts

import (
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
			"No, it wasn't me.|no no no|NO. STOP!|Wasn't me|*no*|_NO_|not me|n",
			"no problem, 123456|123456|NO 123456|know|yes|note|||🚫|nothing|no thanks I am fine|no thank you|not|it was me|stop it please|yes no|no yes"},
		{"de-AT", "NEIN|nein!|Das war ich nicht.|no|Nein, das war ich nicht|NÖ|stopp", "nein danke|ja|kein Problem|das war ich|nein 123456"},
		{"fr", "NON|non.|Ce n'est pas moi|Ce n’est pas moi !|c'est pas moi|ARRET", "non merci|oui|c'est moi"},
		{"es", "NO|no fui yo|No, no fui yo.|NO HE SIDO YO", "no hay problema|si|no se"},
		{"pt-BR", "NÃO|NAO|não|Não fui eu.|nao, nao fui eu", "não sei|sim|nao tem problema"},
		{"tr", "HAYIR|hayır|Hayir|HAYIR!", "hayır teşekkürler|evet"},
		{"el", "ΟΧΙ|όχι|Οχι.|ΌΧΙ|oxi|Δεν ήμουν εγώ|ΔΕΝ ΗΜΟΥΝ ΕΓΩ", "ναι|όχι τώρα"},
		{"ru", "НЕТ|нет.|Это не я|НЕТ, ЭТО НЕ Я!", "нет проблем|да|это я"},
		{"uk", "НІ|ні|Це не я", "ні в якому разі не пишіть|так"},
		{"ar", "لا|لا.|لأ|لست أنا|لست انا|لَا|لـا", "لا مشكلة|نعم"},
		{"fa", "خیر|نه|خير|من نبودم", "نه ممنون|بله"},
		{"he", "לא|לא!|זה לא אני|לֹא", "לא נורא|כן"},
		{"ur", "نہیں|نہیں۔", "نہیں شکریہ|جی ہاں"},
		{"hi", "नहीं|नहीं।|नही|NAHI", "नहीं पता|हाँ"},
		{"bn", "না|না।", "না ধন্যবাদ|হ্যাঁ"},
		{"th", "ไม่|ไม่ใช่|ไม่ใช่ฉัน|ไม่ครับ", "ไม่เป็นไร|ใช่"},
		{"ja", "いいえ|いいえ。|「いいえ」|ｲｲｴ|違います|私ではありません", "はい|いいえ大丈夫です"},
		{"ko", "아니요|아니오!|본인 아님", "네|아니 괜찮아요"},
		{"zh-CN", "否|不是|不是我。|“否”|不是，不是我", "是|不客气|没问题"},
		{"zh-TW", "否|不是我|「否」|拒絕", "是|不客氣"},
		{"vi", "KHÔNG|không|khong|Không phải tôi", "không sao|có"},
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
		if !strings.Contains(fold(w.texts["deny"]), fold(w.denials[0])) {
			t.Errorf("%s: %q does not name %q", tag, w.texts["deny"], w.denials[0])
		}
		for _, reply := range []string{"482913", c.Ask(login()), c.Chat(login()), w.texts["deny"]} {
			if c.Denies(tag, reply) {
				t.Errorf("%s: %q denies", tag, reply)
			}
		}
	}
}
