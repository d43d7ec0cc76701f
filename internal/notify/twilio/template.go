package twilio

import (
	"cmp"
	"slices"
	"strings"

	"twofa/internal/texts"
)

// templates are the content templates of one kind of WhatsApp message. A template
// has one language, so there may be one for each. The zero value has none.
type templates struct {
	byName map[string]string // the SIDs by language tag
	name   func(locale string) string
	usual  string // the SID for all other locales. Empty: there is no template
}

// whatATemplateHasToBe ends the fault of a template's setting.
const whatATemplateHasToBe = " has to be HX and 32 hexadecimal digits, or several of them with their languages, each language once, such as en=HX…,pt-BR=HX…"

// readTemplates reads the setting of templates: a SID, or a list of language=SID,
// separated by commas, that may have one SID without a language. That one is for all
// other languages; without it, the English one is, else the first. ok is false if the
// setting has another form.
func readTemplates(setting string) (t templates, ok bool) {
	if setting == "" {
		return templates{}, true
	}
	t.byName = make(map[string]string)
	var names []string
	var first, alone string
	for entry := range strings.SplitSeq(setting, ",") {
		name, sid, named := strings.Cut(strings.TrimSpace(entry), "=")
		if !named {
			name, sid = "", name
		}
		name, sid = strings.TrimSpace(name), strings.TrimSpace(sid)
		if !isSID("HX", sid) {
			return templates{}, false
		}
		first = cmp.Or(first, sid)
		if !named {
			if alone != "" {
				return templates{}, false
			}
			alone = sid
			continue
		}
		tag, isTag := texts.Canonical(name)
		if !isTag || slices.Contains(names, tag) {
			return templates{}, false
		}
		names = append(names, tag)
		t.byName[tag] = sid
	}
	t.name = texts.Matcher(names)
	t.usual = cmp.Or(alone, t.byName[texts.English], first)
	return t, true
}

// exist reports whether there is a template at all.
func (t templates) exist() bool { return t.usual != "" }

// sid returns the template for a locale. Empty: there is no template.
func (t templates) sid(locale string) string {
	if !t.exist() {
		return ""
	}
	return cmp.Or(t.byName[t.name(locale)], t.usual)
}
