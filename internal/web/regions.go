package web

import (
	"embed"
	"html/template"
	"strings"
	"sync"

	"twofa/internal/phone"
	"twofa/internal/texts"
)

//go:generate node gen/regions.mjs

// regionFiles have the names of regions in a language, sorted as that language sorts them.
//
//go:embed regions/*.txt
var regionFiles embed.FS

// region is one option of the list of countries.
type region struct {
	code string
	// option is the end of its element in HTML.
	option string
}

var regionLists sync.Map // of []region by language

// regionList reads the list of a language, once.
func regionList(t texts.PageTexts) []region {
	if list, ok := regionLists.Load(t.Tag); ok {
		return list.([]region)
	}
	text, err := regionFiles.ReadFile("regions/" + t.Tag + ".txt")
	if err != nil { // an operator's own language
		text, _ = regionFiles.ReadFile("regions/en.txt")
	}
	var list []region
	for line := range strings.Lines(string(text)) {
		code, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		calling := "+" + phone.CallingCode(code)
		if t.RightToLeft { // else the plus moves to the other end of the number
			calling = leftToRightIsolate + calling + popIsolate
		}
		list = append(list, region{code, ">" + template.HTMLEscapeString(name+" "+calling) + "\n"})
	}
	regionLists.Store(t.Tag, list)
	return list
}

// regions returns the options of a language for some countries, nil for all. The only country
// of a list is selected. They are written without the template, which takes longer for them
// than for the rest of the page.
func regions(t texts.PageTexts, selected string, allowed map[string]bool) template.HTML {
	var b strings.Builder
	for _, r := range regionList(t) {
		if allowed != nil && !allowed[r.code] {
			continue
		}
		b.WriteString(`<option value="` + r.code + `"`)
		if r.code == selected || len(allowed) == 1 {
			b.WriteString(" selected")
		}
		b.WriteString(r.option)
	}
	return template.HTML(b.String()) //nolint:gosec // codes are letters, and names are escaped
}
