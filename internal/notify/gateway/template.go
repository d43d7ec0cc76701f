package gateway

import (
	"slices"
	"strings"

	"twofa/internal/texts"
)

// Template names an approved template of WhatsApp in one of its languages.
type Template struct {
	Name string
	// Language is as the operator wrote it, with an underscore, such as pt_BR. WhatsApp
	// knows a template by the exact language it was approved in: en and en_US differ.
	Language string
}

// Templates are the templates of one kind of WhatsApp message. The zero value has
// none.
type Templates struct {
	byTag map[string]Template // by language tag
	tag   func(locale string) string
	usual Template // for all other locales
}

// WhatATemplateHasToBe ends the fault of a template's setting.
const WhatATemplateHasToBe = " has to be a language and the name of its template, or several of them, each language once, such as en_US=login_code,pt_BR=login_code"

// ReadTemplates reads the setting of templates: a list of language=name, separated
// by commas. The English template, else the first, is for all other languages. isName
// reports whether the provider takes the name. ok is false if the setting has another
// form.
func ReadTemplates(setting string, isName func(string) bool) (t Templates, ok bool) {
	if setting == "" {
		return Templates{}, true
	}
	t.byTag = make(map[string]Template)
	var tags []string
	for entry := range strings.SplitSeq(setting, ",") {
		language, name, _ := strings.Cut(entry, "=")
		language, name = strings.TrimSpace(language), strings.TrimSpace(name)
		tag, isTag := texts.Canonical(language)
		if !isTag || slices.Contains(tags, tag) || !isName(name) {
			return Templates{}, false
		}
		tags = append(tags, tag)
		t.byTag[tag] = Template{name, strings.ReplaceAll(language, "-", "_")}
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

// Names lists the names of all templates, in no order.
func (t Templates) Names() (names []string) {
	for _, template := range t.byTag {
		names = append(names, template.Name)
	}
	return names
}

// Exist reports whether there is a template at all.
func (t Templates) Exist() bool { return t.usual.Name != "" }

// Of returns the template for a locale. ok is false if there is no template.
func (t Templates) Of(locale string) (found Template, ok bool) {
	if !t.Exist() {
		return Template{}, false
	}
	if found, ok = t.byTag[t.tag(locale)]; ok {
		return found, true
	}
	return t.usual, true
}
