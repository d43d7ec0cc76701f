package texts

import (
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/unicode/bidi"

	"twofa/internal/charset"
)

// keys are the texts of a language. Each must have exactly these placeholders.
var keys = merged(messageKeys, pageKeys)

// messageKeys are the texts of messages.
var messageKeys = map[string][]string{
	"code_login":     {"code", "brand"},
	"code_general":   {"code", "brand"},
	"code_payment":   {"code", "brand"},
	"amount":         {"amount"},
	"payee":          {"payee"},
	"valid":          {"minutes"},
	"valid_hour":     nil,
	"valid_hours":    {"hours"},
	"secret":         nil,
	"deny":           nil,
	"ignore":         nil,
	"ignore_payment": nil,
	"alert":          {"brand"},
	"alert_recovery": {"brand", "left"},

	"notice_app_added":      {"brand"},
	"notice_app_removed":    {"brand"},
	"notice_recovery_codes": {"brand"},
	"notice_address":        {"brand"},

	"event_wrong_password": {"brand"},
	"event_new_sign_in":    {"brand"},
	"event_other":          {"brand"},
	"event_place":          {"place"},
	"event_device":         {"device"},
	"event_not_you":        nil,

	"intro_login":        {"brand"},
	"intro_general":      {"brand"},
	"intro_payment":      {"brand"},
	"code_is":            nil,
	"speech_hello":       {"brand"},
	"speech_again":       nil,
	"speech_after":       nil,
	"mail_subject":       {"brand"},
	"mail_subject_alert": {"brand"},
	"mail_link":          nil,
	"mail_link_button":   nil,
	"ask_login":          {"brand"},
	"ask_general":        {"brand"},
	"ask_payment":        {"brand"},
	"ask_code":           {"code"},
	"denied":             {"brand"},
	"confirmed":          {"brand"},
}

func merged(all ...map[string][]string) map[string][]string {
	m := make(map[string][]string)
	for _, part := range all {
		maps.Copy(m, part)
	}
	return m
}

// Two more keys of a file. Their values are not texts.
const (
	voiceKey   = "voice"   // the tag of the provider's voice. Empty or absent: none
	denialsKey = "denials" // a list of whole replies that mean no
)

// smsPrefix begins the key of a text that an SMS uses instead of the usual text.
const smsPrefix = "sms_"

// noticePrefix begins the key of a notice's text. The rest is the [notify.Notice].
const noticePrefix = "notice_"

// eventPrefix begins the keys of the sentences of an event. The rest of the first
// sentence's key is the [notify.Event].
const eventPrefix = "event_"

// linkPrefix begins the keys of the link in a mail.
const linkPrefix = "mail_link"

// isOptional reports whether an operator's file for a language of its own may lack
// the key, because files of older releases do.
func isOptional(key string) bool {
	for _, prefix := range []string{noticePrefix, pagePrefix, eventPrefix, linkPrefix} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return key == "valid_hour" || key == "valid_hours" || key == "ignore_payment"
}

// inSMS are the keys that an SMS uses.
var inSMS = []string{
	"code_login", "code_general", "code_payment", "amount", "payee", "valid", "valid_hour", "valid_hours",
	"secret", "deny", "alert", "alert_recovery",
	"notice_app_added", "notice_app_removed", "notice_recovery_codes", "notice_address",
	"event_wrong_password", "event_new_sign_in", "event_other", "event_place", "event_device", "event_not_you",
}

// The limits of an operator's file: bytes of the file, characters of a text,
// entries of the list.
const (
	largestFile    = 64 << 10
	longestText    = 400
	longestDenials = 200
)

// Faults lists every fault of the options and of the operator's files.
type Faults []string

// Error implements error.
func (f Faults) Error() string { return "texts: " + strings.Join(f, "\ntexts: ") }

func (f *Faults) add(file, key, format string, args ...any) {
	at := file
	if key != "" {
		at += ": " + key
	}
	*f = append(*f, at+" "+fmt.Sprintf(format, args...))
}

// wording is the texts of one language.
type wording struct {
	tag, voice  string
	ownVoice    bool // the operator's file names the voice, so it is used in every region
	rightToLeft bool
	french      bool // some punctuation marks have a no-break space before them
	texts       map[string]string
	denials     []string        // as written in the file
	denies      map[string]bool // the same, folded
}

// sms returns the text that an SMS uses for a key.
func (w *wording) sms(key string) string {
	if text, ok := w.texts[smsPrefix+key]; ok {
		return text
	}
	return w.texts[key]
}

// text returns the text of a key.
func (w *wording) text(key string) string { return w.texts[key] }

// frenchSpaces makes the spaces before French punctuation marks no-break spaces.
var frenchSpaces = strings.NewReplacer(" :", "\u00a0:", " ;", "\u00a0;", " ?", "\u00a0?", " !", "\u00a0!")

// chat returns the text of a key for a message that is shown and is no SMS. The GSM
// alphabet of an SMS has no no-break space.
func (w *wording) chat(key string) string {
	if w.french {
		return frenchSpaces.Replace(w.texts[key])
	}
	return w.texts[key]
}

// embeddedTags are the languages of the embedded files.
func embeddedTags() []string {
	entries, _ := packed.ReadDir("packed") // cannot fail: it is embedded
	tags := make([]string, len(entries))
	for i, entry := range entries {
		tags[i] = strings.TrimSuffix(entry.Name(), ".json.gz")
	}
	return tags
}

// unpack returns the contents of an embedded file.
func unpack(path string) ([]byte, error) {
	file, err := packed.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// embedded reads an embedded file.
func embedded(tag string) (*wording, Faults) {
	var faults Faults
	w := &wording{tag: tag, texts: make(map[string]string)}
	data, err := unpack("packed/" + tag + ".json.gz")
	if err != nil {
		faults.add(tag+".json", "", "is not embedded")
		return w, faults
	}
	w.merge(tag+".json", data, &faults)
	w.complete(tag+".json", &faults)
	w.ownVoice = false
	return w, faults
}

// readFolder reads the operator's files and returns their languages by tag. The
// texts of a file replace those of the embedded file of the same language.
func readFolder(dir string, faults *Faults) map[string]*wording {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		faults.add("TWOFA_TEXTS_DIR", "", "cannot be read as a folder")
		return nil
	}
	read := make(map[string]*wording)
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") {
			continue // mounted volumes have such entries
		}
		tag, ok := strings.CutSuffix(name, ".json")
		canonical, isTag := Canonical(tag)
		if !ok || !isTag {
			faults.add(name, "", "is not named <language tag>.json, such as de.json or pt-BR.json")
			continue
		} else if canonical != tag {
			faults.add(name, "", "has to be named %s.json", canonical)
			continue
		}
		data, err := readFile(filepath.Join(dir, name))
		switch {
		case err != nil:
			faults.add(name, "", "cannot be read")
			continue
		case len(data) > largestFile:
			faults.add(name, "", "is larger than 64 KiB")
			continue
		}
		w := &wording{tag: tag, texts: make(map[string]string)}
		if slices.Contains(embeddedTags(), tag) {
			w, _ = embedded(tag)
		}
		if w.merge(name, data, faults) {
			w.complete(name, faults)
			read[tag] = w
		}
	}
	return read
}

// readFile reads a file, but at most one byte more than it may have.
func readFile(name string) (data []byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fs.ErrInvalid
	}
	return io.ReadAll(io.LimitReader(f, largestFile+1))
}

// merge takes over the keys of a file, and adds what is wrong with them to the
// faults. It returns false if the file is not a JSON object.
func (w *wording) merge(file string, data []byte, faults *Faults) bool {
	data, err := charset.Text(data)
	if err != nil {
		faults.add(file, "", "is in %s: save it as UTF-8", err)
		return false
	}
	var members map[string]jsontext.Value
	// The library refuses repeated keys and invalid UTF-8. Its error is not
	// passed on, because it may quote much of the file.
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		faults.add(file, "", "is not one JSON object in UTF-8 with each key once")
		return false
	}
	for key, value := range members {
		switch key {
		case voiceKey:
			w.ownVoice = true
			if json.Unmarshal(value, &w.voice) != nil || w.voice != "" && !isVoice(w.voice) {
				faults.add(file, key, "is not a language tag in quotes, such as \"de-DE\"")
			}
		case denialsKey:
			w.setDenials(file, value, faults)
		default:
			base := strings.TrimPrefix(key, smsPrefix)
			if _, known := keys[base]; !known || base != key && !slices.Contains(inSMS, base) {
				faults.add(file, key, "is not a key")
				continue
			}
			var text string
			if value.Kind() != '"' || json.Unmarshal(value, &text) != nil {
				faults.add(file, key, "is not a text in quotes")
				continue
			}
			if fault := checkText(base, text); fault != "" {
				faults.add(file, key, "%s", fault)
			}
			w.texts[key] = text
		}
	}
	return true
}

// setDenials takes over the list of replies that mean no.
func (w *wording) setDenials(file string, value jsontext.Value, faults *Faults) {
	var list []string
	if json.Unmarshal(value, &list) != nil || len(list) == 0 || len(list) > longestDenials {
		faults.add(file, denialsKey, "is not a list of 1 to %d texts", longestDenials)
		return
	}
	folded := make(map[string]bool, len(list))
	for _, phrase := range list {
		key := fold(phrase)
		if key == "" || len(phrase) > longestReply {
			faults.add(file, denialsKey, "has an entry without a letter, or one that is too long")
			return
		}
		folded[key] = true
	}
	w.denials, w.denies = list, folded
}

// complete checks all texts together, and sets what follows from them.
func (w *wording) complete(file string, faults *Faults) {
	for key := range keys {
		if _, ok := w.texts[key]; ok || strings.HasPrefix(key, "speech_") && w.voice == "" || isOptional(key) {
			continue // a test makes sure that the embedded files have all keys
		}
		faults.add(file, key, "is missing")
	}
	if w.denials == nil {
		faults.add(file, denialsKey, "is missing")
	}
	// A message must not ask people to answer with a word that the service does
	// not understand.
	for _, key := range []string{"deny", smsPrefix + "deny"} {
		if text, ok := w.texts[key]; ok && w.denials != nil && !w.asksForDenial(text) {
			faults.add(file, key, "does not name the first entry of %q, the word that people should answer with, as a word of its own after the question", denialsKey)
		}
	}
	w.rightToLeft = startsRightToLeft(w.texts["secret"])
	w.french = w.tag == "fr" || strings.HasPrefix(w.tag, "fr-")
}

// asksForDenial reports whether a text names the first of the words that mean no,
// in any capitalisation, as a word of its own. The word in the question does not
// count: "¿No es usted?" does not ask anybody to answer "no".
func (w *wording) asksForDenial(text string) bool {
	if i := strings.LastIndexAny(strings.TrimRight(text, questionMarks), questionMarks); i >= 0 {
		text = text[i:]
	}
	words := func(s string) string { // quotation marks end a word here
		return " " + fold(strings.NewReplacer("'", " ", "’", " ", "‘", " ").Replace(s)) + " "
	}
	return strings.Contains(words(text), words(w.denials[0]))
}

// questionMarks end questions: the Latin, Arabic, full-width and Greek marks.
const questionMarks = "?؟？;\u037e"

// checkText returns what is wrong with a text. Empty: nothing.
func checkText(key, text string) string {
	switch {
	case strings.TrimSpace(text) != text || text == "":
		return "is empty, or begins or ends with a space"
	case utf8.RuneCountInString(text) > longestText:
		return fmt.Sprintf("has more than %d characters", longestText)
	}
	for _, r := range text {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return fmt.Sprintf("has the character %U; a text is one line without control characters", r)
		}
	}
	names, ok := placeholders(text)
	if !ok {
		return "has a { or } that is not part of a placeholder"
	}
	for _, name := range names {
		if !slices.Contains(keys[key], name) {
			return fmt.Sprintf("has a placeholder {%s} that this text cannot have", name)
		}
	}
	for _, name := range keys[key] {
		if !slices.Contains(names, name) {
			return fmt.Sprintf("lacks the placeholder {%s}", name)
		}
	}
	switch {
	case strings.HasPrefix(key, "code_") && key != "code_is" && !strings.HasPrefix(text, "{code} "):
		return "does not begin with {code} and a space; a lock screen shows only the beginning"
	case key == "ask_code" && !strings.HasSuffix(text, "{code}"):
		return "does not end with {code}"
	}
	return ""
}

// isVoice reports whether s has the form of a voice's tag: cmn-CN, arb.
func isVoice(s string) bool {
	return len(s) <= longestLocale && strings.Trim(s, latin+"-") == ""
}

// startsRightToLeft reports whether the first letter with a direction is a
// right-to-left one.
func startsRightToLeft(text string) bool {
	for _, r := range text {
		p, _ := bidi.LookupRune(r)
		switch p.Class() {
		case bidi.L:
			return false
		case bidi.R, bidi.AL:
			return true
		}
	}
	return false
}
