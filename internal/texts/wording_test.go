package texts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder makes a folder with the given files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadNamesEveryFault(t *testing.T) {
	long := strings.Repeat("x", longestText+1)
	for _, tc := range []struct {
		name, file, text string
		want             []string // each after "texts: " and the file's name
	}{
		{"unknown key", "de.json", `{"code_logn": "x"}`, []string{": code_logn is not a key"}},
		{"a key that no SMS uses", "de.json", `{"sms_ask_code": "{code}"}`, []string{": sms_ask_code is not a key"}},
		{"missing placeholder", "de.json", `{"code_login": "{code} ist Ihr Code."}`, []string{": code_login lacks the placeholder {brand}"}},
		{"unknown placeholder", "de.json", `{"code_login": "{code} von {brand}, {name}"}`, []string{": code_login has a placeholder {name} that this text cannot have"}},
		{"placeholder of another key", "de.json", `{"secret": "{code}"}`, []string{": secret has a placeholder {code} that this text cannot have"}},
		{"no number of codes", "de.json", `{"alert_recovery": "{brand}: Code verwendet.", "sms_alert_recovery": "{left} übrig."}`, []string{
			": alert_recovery lacks the placeholder {left}", ": sms_alert_recovery lacks the placeholder {brand}"}},
		{"a number of codes elsewhere", "de.json", `{"alert": "{brand}: {left}"}`, []string{": alert has a placeholder {left} that this text cannot have"}},
		{"a notice of nothing", "de.json", `{"notice_logged_in": "{brand}", "sms_notice_address": "Adresse.", "notice_address": "{brand}: {code}"}`, []string{
			": notice_address has a placeholder {code} that this text cannot have", ": notice_logged_in is not a key", ": sms_notice_address lacks the placeholder {brand}"}},
		{"a code in an alert", "de.json", `{"sms_alert_recovery": "{brand}: {left}, {code}"}`, []string{": sms_alert_recovery has a placeholder {code} that this text cannot have"}},
		{"brace left over", "de.json", `{"secret": "a } b", "valid": "{minutes", "amount": "{{amount}}"}`, []string{
			": amount has a { or } that is not part of a placeholder",
			": secret has a { or } that is not part of a placeholder",
			": valid has a { or } that is not part of a placeholder"}},
		{"code not first", "de.json", `{"code_login": "Ihr Code bei {brand}: {code}"}`, []string{": code_login does not begin with {code} and a space; a lock screen shows only the beginning"}},
		{"code not first in the SMS", "de.json", `{"sms_code_login": "{brand}: {code} "}`, []string{": sms_code_login is empty, or begins or ends with a space"}},
		{"code not last", "de.json", `{"ask_code": "{code}!"}`, []string{": ask_code does not end with {code}"}},
		{"empty", "de.json", `{"secret": ""}`, []string{": secret is empty, or begins or ends with a space"}},
		{"too long", "de.json", `{"secret": "` + long + `"}`, []string{": secret has more than 400 characters"}},
		{"two lines", "de.json", `{"secret": "a\n@evil.test #1"}`, []string{": secret has the character U+000A; a text is one line without control characters"}},
		{"bidi control", "de.json", `{"secret": "a\u202eb"}`, []string{": secret has the character U+202E; a text is one line without control characters"}},
		{"no text", "de.json", `{"secret": 5, "voice": 5, "denials": "no"}`, []string{
			": denials is not a list of 1 to 200 texts", ": secret is not a text in quotes",
			`: voice is not a language tag in quotes, such as "de-DE"`}},
		{"null", "de.json", `{"secret": null}`, []string{": secret is not a text in quotes"}},
		{"voice", "de.json", `{"voice": "de DE\""}`, []string{`: voice is not a language tag in quotes, such as "de-DE"`}},
		{"empty denials", "de.json", `{"denials": []}`, []string{": denials is not a list of 1 to 200 texts"}},
		{"a denial of nothing", "de.json", `{"denials": ["nein", "!!"]}`, []string{": denials has an entry without a letter, or one that is too long"}},
		{"a word that is not on the list", "de.json", `{"deny": "Nicht Sie? Antworten Sie FALSCH."}`, []string{`: deny does not name the first entry of "denials", the word that people should answer with, as a word of its own after the question`}},
		{"a word that only the question has", "es.json", `{"deny": "¿No es usted? Avísenos."}`, []string{`: deny does not name the first entry of "denials", the word that people should answer with, as a word of its own after the question`}},
		{"a word inside another one", "en.json", `{"sms_deny": "Not you? Reply NOW."}`, []string{`: sms_deny does not name the first entry of "denials", the word that people should answer with, as a word of its own after the question`}},
		{"hours without their number", "de.json", `{"valid_hours": "Lange gültig.", "valid_hour": "Gültig für {hours} Stunde."}`, []string{
			": valid_hour has a placeholder {hours} that this text cannot have", ": valid_hours lacks the placeholder {hours}"}},
		{"bad JSON", "de.json", `{"secret": "a",}`, []string{" is not one JSON object in UTF-8 with each key once"}},
		{"a list", "de.json", `[]`, []string{" is not one JSON object in UTF-8 with each key once"}},
		{"nothing", "de.json", ``, []string{" is not one JSON object in UTF-8 with each key once"}},
		{"repeated key", "de.json", `{"secret": "a", "secret": "b"}`, []string{" is not one JSON object in UTF-8 with each key once"}},
		{"bad UTF-8", "de.json", "{\"secret\": \"\xff\"}", []string{" is not one JSON object in UTF-8 with each key once"}},
		{"too large", "de.json", `{"secret": "` + strings.Repeat("x", 64<<10) + `"}`, []string{" is larger than 64 KiB"}},
		{"no language tag", "german language.json", `{}`, []string{" is not named <language tag>.json, such as de.json or pt-BR.json"}},
		{"undetermined", "und.json", `{}`, []string{" is not named <language tag>.json, such as de.json or pt-BR.json"}},
		{"another ending", "de.jsn", `{}`, []string{" is not named <language tag>.json, such as de.json or pt-BR.json"}},
		{"another spelling", "pt_br.json", `{}`, []string{" has to be named pt-BR.json"}},
		{"the tag of all Norwegian", "no.json", `{}`, []string{" has to be named nb.json"}},
		{"an old tag", "iw.json", `{}`, []string{" has to be named he.json"}},
		{"a voice without words", "fa.json", `{"voice": "fa-IR"}`, []string{": speech_after is missing", ": speech_again is missing", ": speech_hello is missing"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load(Options{Dir: folder(t, map[string]string{tc.file: tc.text})})
			var want Faults
			for _, fault := range tc.want {
				want = append(want, tc.file+fault)
			}
			if faults, _ := errors.AsType[Faults](err); !slices.Equal(faults, want) {
				t.Errorf("got  %q\nwant %q", faults, want)
			}
		})
	}
}

func TestLoadReportsAllFaultsTogether(t *testing.T) {
	dir := folder(t, map[string]string{"de.json": `{"x": "", "valid": "bald"}`, "hr.json": `{"secret": "Ne dijelite kod."}`, "README": ""})
	if err := os.Mkdir(filepath.Join(dir, "fr.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Options{Dir: dir, Origin: "https://example.com", AppHash: "short"})
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, want := range []string{
		"texts: README is not named", "texts: de.json: x is not a key\n", "texts: de.json: valid lacks the placeholder {minutes}\n",
		"texts: fr.json cannot be read\n", "texts: hr.json: code_login is missing\n", "texts: hr.json: denials is missing\n",
		"texts: TWOFA_SMS_ORIGIN is not", "texts: TWOFA_SMS_APP_HASH is not",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if _, err := Load(Options{Dir: filepath.Join(dir, "none")}); err == nil || err.Error() != "texts: TWOFA_TEXTS_DIR cannot be read as a folder" {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestOrigins(t *testing.T) {
	for origin, ok := range map[string]bool{
		"example.com": true, "localhost": true, "xn--bcher-kva.example": true, "1.2.3.4": true,
		"Example.com": false, "https://example.com": false, "example.com:8080": false, "example.com/": false, "example.com.": false,
		"a b": false, "a\nb": false, "-a.com": false, "a..b": false, "bücher.example": false, strings.Repeat("a", 64): false,
	} {
		if _, err := Load(Options{Origin: origin}); (err == nil) != ok {
			t.Errorf("origin %q: %v", origin, err)
		}
	}
	for hash, ok := range map[string]bool{"FA+9qCX9VSu": true, "FA+9qCX9VS": false, "FA+9qCX9VSuu": false, "FA+9qCX9VS\n": false, "FA 9qCX9VSu": false} {
		if _, err := Load(Options{AppHash: hash}); (err == nil) != ok {
			t.Errorf("hash %q: %v", hash, err)
		}
	}
}

// An operator's file replaces its texts and keeps all others.
func TestOperatorsFileReplacesTexts(t *testing.T) {
	c := load(t, Options{Dir: folder(t, map[string]string{
		"en.json":   `{"code_login": "{code} opens {brand}.", "sms_valid": "{minutes} min.", "sms_alert_recovery": "{brand}: {left} left.", "denials": ["never", "no"], "deny": "Reply NEVER."}`,
		".DS_Store": "\x00",
	})})
	m := login()
	m.CanDeny = true
	if got, want := c.Chat(m), "482913 opens Acme. Expires in 10 min. Don't share it with anyone. We'll never ask for it. Reply NEVER."; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got, want := c.SMS(m), "482913 opens Acme. 10 min. Don't share it with anyone. Reply NEVER."; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got, want := c.SMS(recovered()), "Acme: 7 left."; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !c.Denies("en", "Never!") || c.Denies("en", "stop") {
		t.Error("the list of denials is not the operator's")
	}
	if m.Locale = "de"; !strings.Contains(c.Chat(m), "Antworten Sie mit NEIN.") {
		t.Errorf("another language has changed: %q", c.Chat(m))
	}
}

// Every embedded language can be changed by a file of its name.
func TestEveryLanguageCanBeChanged(t *testing.T) {
	for _, tag := range embeddedTags() {
		c := load(t, Options{Dir: folder(t, map[string]string{tag + ".json": `{"denied": "{brand} ~"}`})})
		if got := c.DeniedReply(inLanguage(tag, login())); got != "Acme ~" && got != "\u2068Acme\u2069 ~" {
			t.Errorf("%s: %q", tag, got)
		}
	}
}

// A file of a new language needs all keys. The language is then found by its locales.
func TestOperatorsFileAddsALanguage(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"denials": ["ne"], "deny": "Niste vi? Odgovorite NE."`)
	for key, names := range keys {
		if key == "deny" || strings.HasPrefix(key, "speech_") {
			continue
		}
		fmt.Fprintf(&b, `, %q: "`, key)
		for i, name := range names {
			if i > 0 {
				b.WriteString(" ")
			}
			b.WriteString("{" + name + "}")
		}
		if len(names) == 0 {
			b.WriteString(key)
		}
		b.WriteString(`"`)
	}
	c := load(t, Options{Dir: folder(t, map[string]string{"hr.json": b.String() + "}"})})
	if got := c.Language("hr-BA"); got != "hr" {
		t.Fatalf("Language(hr-BA) = %q", got)
	}
	m := inLanguage("hr", login())
	m.CanDeny = true
	if got, want := c.Chat(m), "482913 Acme 10 secret Niste vi? Odgovorite NE."; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got, want := c.SMS(inLanguage("hr", recovered())), "Acme 7"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := c.Speech(m); got.Language != "en-US" || !strings.HasPrefix(got.Before, "Hello") {
		t.Errorf("a language without a voice is not spoken in English: %q", got)
	}
}

// Load reads an embedded file only if an operator's file changes it.
func TestLoadReadsNoMoreThanItNeeds(t *testing.T) {
	allocations := testing.AllocsPerRun(10, func() {
		if _, err := Load(Options{Origin: "example.com"}); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 200 { // reading one file takes more
		t.Errorf("Load takes %v allocations", allocations)
	}
}
