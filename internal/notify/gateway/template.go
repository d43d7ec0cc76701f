package plivo

import (
	"slices"
	"strings"

	"twofa/internal/texts"
)

// template names an approved template of WhatsApp in one of its languages.
type template struct{ name, language string }

// templates are the templates of one kind of WhatsApp message. The zero value has
// none.
type templates struct {
	byTag map[string]template // by language tag
	tag   func(locale string) string
	usual template // for all other locales
}

// whatATemplateHasToBe ends the fault of a template's setting.
const whatATemplateHasToBe = " has to be a language and the name of its template, or several of them, each language once, such as en_US=login_code,pt_BR=login_code"

// maxTemplateName is WhatsApp's limit for a template's name.
const maxTemplateName = 512

// readTemplates reads the setting of templates: a list of language=name, separated
// by commas. The English template, else the first, is for all other languages. The
// language is sent as the operator wrote it, with an underscore, because WhatsApp
// knows a template by the exact language it was approved in: en and en_US differ.
// ok is false if the setting has another form.
func readTemplates(setting string) (t templates, ok bool) {
	if setting == "" {
		return templates{}, true
	}
	t.byTag = make(map[string]template)
	var tags []string
	for entry := range strings.SplitSeq(setting, ",") {
		language, name, _ := strings.Cut(entry, "=")
		language, name = strings.TrimSpace(language), strings.TrimSpace(name)
		tag, isTag := texts.Canonical(language)
		if !isTag || slices.Contains(tags, tag) || !consistsOf(name, lower+digits+"_") || len(name) > maxTemplateName {
			return templates{}, false
		}
		tags = append(tags, tag)
		t.byTag[tag] = template{name, strings.ReplaceAll(language, "-", "_")}
	}
	t.tag = texts.Matcher(tags)
	t.usual = t.byTag[tags[0]]
	for _, tag := range []string{"en-US", texts.English} {
		if english, has := t.byTag[tag]; has {
			t.usual = english
		}
	}
	return t, true
}

// exist reports whether there is a template at all.
func (t templates) exist() bool { return t.usual.name != "" }

// of returns the template for a locale. ok is false if there is no template.
func (t templates) of(locale string) (found template, ok bool) {
	if !t.exist() {
		return template{}, false
	}
	if found, ok = t.byTag[t.tag(locale)]; ok {
		return found, true
	}
	return t.usual, true
}
