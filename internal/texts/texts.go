// Package texts holds the texts of all messages that a person reads or hears, in
// all languages, and puts the code, the brand, the amount and the payee into them.
//
// Brand, amount and payee come from outside. They must never add a line, a link
// or a character that reorders others, and must never be read as placeholders. A
// text for a call must never hold the code: the sender spells it. This package
// sends, logs and stores no message.
package texts

import (
	"cmp"
	"embed"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"

	"twofa/internal/address"
)

// English is the language that is used if there is no better one. Its words for
// "no" count in every language.
const English = "en"

// packed holds one file per language, which gen has made of catalogue/*.json. A file is
// read when its language is used for the first time.
//
//go:generate go run ./gen
//go:embed packed/*.json.gz
var packed embed.FS

// Options name the operator's own texts and the last lines of an SMS.
type Options struct {
	// Dir is the folder with the operator's own files (TWOFA_TEXTS_DIR). Empty:
	// none.
	Dir string
	// Origin is the host in an SMS's last line, `@host #code`. A browser then
	// fills in the code on that host only (WICG, origin-bound one-time codes).
	// Empty: no such line.
	Origin string
	// AppHash is the 11 characters by which Android's SMS Retriever finds the
	// app that the message is for. Empty: no such line.
	AppHash string
}

// Catalogue holds all texts. It is safe for concurrent use. Use Load.
type Catalogue struct {
	origin, appHash string
	// wordings are the languages by tag. Each is read once, on first use.
	wordings map[string]func() *wording
	// match finds the tag for a locale.
	match func(language.Tag) string
	// harmless has, by tag, the words of harmlessWords that were asked for.
	harmless sync.Map
}

// Load checks the options and reads the operator's files, if there are any. It
// reads an embedded file only if an operator's file changes it. The error is a
// Faults.
func Load(o Options) (*Catalogue, error) {
	var faults Faults
	if o.Origin != "" && !address.IsHost(o.Origin) {
		faults.add("TWOFA_SMS_ORIGIN", "", "is not a host name in lower case, without scheme, port and path")
	}
	if o.AppHash != "" && !isAppHash(o.AppHash) {
		faults.add("TWOFA_SMS_APP_HASH", "", "is not 11 characters of A-Z a-z 0-9 + /")
	}
	c := &Catalogue{origin: o.Origin, appHash: o.AppHash, wordings: make(map[string]func() *wording)}
	for _, tag := range embeddedTags() {
		c.wordings[tag] = sync.OnceValue(func() *wording {
			w, _ := embedded(tag) // a test makes sure that no embedded file has a fault
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

	c.match = matcher(slices.Sorted(maps.Keys(c.wordings)))
	return c, nil
}

// longestLocale is the longest locale, in bytes. (RFC 5646 requires support for 35
// characters.)
const longestLocale = 35

// Language returns the tag of the language that is used for a locale (BCP 47, with
// - or _). It is "en" if there is none for the locale.
func (c *Catalogue) Language(locale string) string {
	tag, ok := parseLocale(locale)
	if !ok {
		return English
	}
	return cmp.Or(c.match(tag), English)
}

// Languages returns the tags of the languages that there are texts for, sorted.
func (c *Catalogue) Languages() []string { return slices.Sorted(maps.Keys(c.wordings)) }

// Has reports whether there are texts for a locale: in its language, or in one that its readers
// can read.
func (c *Catalogue) Has(locale string) bool {
	tag, ok := parseLocale(locale)
	return ok && c.match(tag) != ""
}

// parseLocale reads a locale, or the part of it that the library knows: of no-NO-NY, it
// is no-NO. ok is false if it is empty, too long, or does not begin with a language.
func parseLocale(locale string) (tag language.Tag, ok bool) {
	if locale == "" || len(locale) > longestLocale {
		return language.Und, false
	}
	// All replaces old and special tags by the usual ones: iw, cmn, no.
	tag, err := language.All.Parse(locale)
	known, _, _ := tag.Raw()
	return tag, err == nil || known.String() != "und"
}

// wording returns the texts for a locale.
func (c *Catalogue) wording(locale string) *wording { return c.wordings[c.Language(locale)]() }

// relatives maps languages to another language that their readers can read. The
// library has more such pairs, such as Estonian with Finnish and Azerbaijani with
// Russian. For those, English is the better choice.
var relatives = map[string]string{"nn": "nb", "no": "nb", "yue": "zh"}

// Canonical returns the usual spelling of a language tag: "pt-BR" for "pt_br", "he"
// for "iw". Norwegian is "nb", as in the catalogue. ok is false if name is no tag.
func Canonical(name string) (tag string, ok bool) {
	parsed, err := language.All.Parse(name)
	if err != nil || parsed == language.Und {
		return "", false
	}
	tag = parsed.String()
	if rest, isNorwegian := strings.CutPrefix(tag, "no"); isNorwegian && (rest == "" || rest[0] == '-') {
		tag = "nb" + rest
	}
	return tag, true
}

// Matcher returns a function that finds the name for a locale, by the rules of
// [Catalogue.Language]: the name itself, else the nearest one of the same language.
// It returns "" if there is none. names are from [Canonical].
func Matcher(names []string) func(locale string) string {
	match := matcher(slices.Clone(names))
	return func(locale string) string {
		if tag, ok := parseLocale(locale); ok {
			return match(tag)
		}
		return ""
	}
}

// matcher returns a function that finds the name for a language, "" if there is
// none. The library's table is built on first use.
func matcher(names []string) func(language.Tag) string {
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
		_, i, confidence := m.Match(wanted) // it returns the first tag if nothing fits
		if confidence == language.No {
			return ""
		}
		found, _ := tags[i].Base()
		if found != base && (!isRelative || found.String() != relative) {
			return ""
		}
		return names[i]
	}
}

func isAppHash(s string) bool {
	return len(s) == 11 && strings.Trim(s, latin+"0123456789+/") == ""
}

// latin are the letters of ASCII.
const latin = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
