package web

import (
	"net/url"
	"strings"

	"golang.org/x/text/language"

	"twofa/internal/locale"
	"twofa/internal/phone"
)

// The bounds of what a browser asks for: longer lists are not read.
const (
	maxAccept = 1024 // bytes
	maxTags   = 32
)

// Locale chooses the language of a page: the first one with texts among the parameters
// ui_locales (a list, as in OpenID Connect) and locale of the query, then the session's, then
// those of Accept-Language, the best first. If there are texts for none, it is the first one
// that is a language. It is "" if there is none: the page is in English.
func (r *Renderer) Locale(rawQuery, session, acceptLanguage string) string {
	query, _ := url.ParseQuery(rawQuery) // what cannot be read is left out
	var asked []string
	if list := query.Get("ui_locales"); len(list) <= maxAccept {
		asked = strings.Fields(list)
		asked = asked[:min(len(asked), maxTags)]
	}
	asked = append(asked, query.Get("locale"), session)
	for _, t := range accepted(acceptLanguage) {
		asked = append(asked, t.String())
	}
	first := ""
	for _, text := range asked {
		tag, _ := locale.Read(text)
		switch {
		case tag == "" || !locale.IsKnown(tag):
		case r.Texts.Has(tag):
			return tag
		case first == "":
			first = tag
		}
	}
	return first
}

// accepted returns the languages that a browser asks for, the best first.
func accepted(header string) []language.Tag {
	if len(header) > maxAccept || strings.Count(header, ",") >= maxTags {
		return nil
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return nil
	}
	return tags
}

// Country guesses the country of a person from Accept-Language: the region of the first
// language that names one, else the region in which most people speak the first language.
// It is "" if nothing can be guessed.
func Country(acceptLanguage string) string {
	tags := accepted(acceptLanguage)
	for _, least := range []language.Confidence{language.Exact, language.Low} {
		for _, t := range tags {
			if r, confidence := t.Region(); confidence >= least && phone.IsRegion(r.String()) {
				return r.String()
			}
		}
	}
	return ""
}
