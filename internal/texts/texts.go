// Package texts holds the words of every message that a person reads or hears,
// in every language, and puts the code, the brand and what is approved into
// them.
//
// Brand, amount and payee come from outside. They must never add a line, a link
// or a character that moves others, and never be read as a placeholder. A text
// for a call must never hold the code: the sender spells it. Nothing here sends,
// logs or keeps a message.
package texts

import (
	"embed"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// English is the language of last resort, and the one whose words of refusal
// count beside every other language's.
const English = "en"

// catalogue is one file per language. A file is read when its language is first
// used.
//
//go:embed catalogue/*.json
var catalogue embed.FS

// Options say what is laid over the embedded texts, and what an SMS ends with.
type Options struct {
	// Dir is the folder with the operator's own files (TWOFA_TEXTS_DIR), "" for
	// none.
	Dir string
	// Origin is the host of an SMS's last line, `@host #code`, which lets a
	// browser fill in the code on that host alone (WICG, origin-bound one-time
	// codes). "" leaves the line out.
	Origin string
	// AppHash is the 11 characters by which Android's SMS Retriever finds the
	// app that a message is for. "" leaves the line out.
	AppHash string
}

// Catalogue is all texts. It is safe for concurrent use. Use Load.
type Catalogue struct {
	origin, appHash string
	// wordings are the languages by tag, each read once, on first use.
	wordings map[string]func() *wording
	// match finds the tag for a locale.
	match func(language.Tag) string
}

// Load checks the options and reads the operator's files, if there is a folder
// of them. The embedded files that they do not touch are left for later. The
// error is a Faults.
func Load(o Options) (*Catalogue, error) {
	var faults Faults
	if o.Origin != "" && !isHost(o.Origin) {
		faults.add("TWOFA_SMS_ORIGIN", "", "is not a host name in lower case, without scheme, port and path")
	}
	if o.AppHash != "" && !isAppHash(o.AppHash) {
		faults.add("TWOFA_SMS_APP_HASH", "", "is not 11 characters of A-Z a-z 0-9 + /")
	}
	c := &Catalogue{origin: o.Origin, appHash: o.AppHash, wordings: make(map[string]func() *wording)}
	for _, tag := range embeddedTags() {
		c.wordings[tag] = sync.OnceValue(func() *wording {
			w, _ := embedded(tag) // the tests hold that no embedded file is at fault
			return w
		})
	}
	for tag, w := range readFolder(o.Dir, &faults) {
		c.wordings[tag] = func() *wording { return w }
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		return nil, faults
	}

	var tags []string
	for tag := range c.wordings {
		tags = append(tags, tag)
	}
	c.match = matcher(tags)
	return c, nil
}

// longestLocale is what a locale may hold, in bytes. (RFC 5646 asks for room for
// 35 characters.)
const longestLocale = 35

// Language returns the tag of the language that is used for a locale (BCP 47,
// also with _ for -). Where there is none for it, that is "en".
func (c *Catalogue) Language(locale string) string {
	if locale == "" || len(locale) > longestLocale {
		return English
	}
	// All makes old and single tags into the usual ones: iw, cmn, no.
	tag, err := language.All.Parse(locale)
	if err != nil {
		return English
	}
	return c.match(tag)
}

// wording returns the texts for a locale.
func (c *Catalogue) wording(locale string) *wording { return c.wordings[c.Language(locale)]() }

// relatives are languages whose readers can read another one that is written
// the same way. The library knows more of them, such as Estonian with Finnish
// and Azerbaijani with Russian, where English is the smaller mistake.
var relatives = map[string]string{"nn": "nb", "no": "nb", "yue": "zh"}

// matcher returns a function that finds the tag for a language. The table of
// the library is built at the first use.
func matcher(names []string) func(language.Tag) string {
	slices.SortFunc(names, func(a, b string) int {
		switch { // the first is what the library gives where nothing fits
		case a == English:
			return -1
		case b == English:
			return 1
		}
		return strings.Compare(a, b)
	})
	table := sync.OnceValues(func() ([]language.Tag, language.Matcher) {
		tags := make([]language.Tag, len(names))
		for i, name := range names {
			tags[i] = language.Make(name)
		}
		return tags, language.NewMatcher(tags)
	})
	return func(wanted language.Tag) string {
		tags, m := table()
		base, _ := wanted.Base()
		relative, isRelative := relatives[base.String()]
		if base.String() == "yue" {
			wanted = language.TraditionalChinese
		}
		_, i, _ := m.Match(wanted)
		found, _ := tags[i].Base()
		if found != base && (!isRelative || found.String() != relative) {
			return English
		}
		return names[i]
	}
}

// isHost reports whether s can stand between @ and a space: letters, digits and
// hyphens in labels that dots separate (RFC 1123), no capitals, no port.
func isHost(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
				return false
			}
		}
	}
	return true
}

func isAppHash(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '+' && r != '/' {
			return false
		}
	}
	return len(s) == 11
}
