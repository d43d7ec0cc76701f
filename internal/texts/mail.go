package texts

import (
	"html/template"
	"strings"
	"sync"

	"twofa/internal/notify"
)

// Mail is a message as an e-mail. The subject is one line and never holds the
// code, because mail servers log subjects. Text and HTML say the same.
type Mail struct{ Subject, Text, HTML string }

// mailPage is the HTML of a mail. It loads nothing and links nowhere.
var mailPage = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("mail").Parse(`<!DOCTYPE html>
<html lang="{{.Lang}}" dir="{{.Dir}}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Subject}}</title></head>
<body style="margin:0;padding:24px;font-family:Arial,Helvetica,sans-serif;font-size:16px;line-height:1.5;color:#1a1a1a;background:#ffffff">
{{range .Before}}<p style="margin:0 0 16px">{{.}}</p>
{{end}}{{if .Code}}<p dir="ltr" style="margin:0 0 16px;font-size:32px;font-weight:bold;font-family:Consolas,Menlo,monospace;letter-spacing:4px">{{.Code}}</p>
{{end}}{{range .After}}<p style="margin:0 0 16px">{{.}}</p>
{{end}}</body>
</html>
`))
})

// Mail is the message as an e-mail. For m.Alert it is the warning.
func (c *Catalogue) Mail(m notify.Message) Mail {
	w := c.wording(m.Locale)
	s := w.subjectOf(m, true)
	page := struct {
		Lang, Dir, Subject, Code string
		Before, After            []string
	}{Lang: w.tag, Dir: "ltr"}
	if w.rightToLeft {
		page.Dir = "rtl"
	}
	if m.Alert {
		page.Subject = expand(w.texts["mail_subject_alert"], s.values)
		page.Before = []string{expand(w.texts["alert"], s.values)}
	} else {
		page.Subject = expand(w.texts["mail_subject"], s.values)
		page.Code = m.Code
		page.Before = []string{expand(w.texts["intro_"+s.kind], s.values)}
		for _, key := range s.parts {
			page.Before = append(page.Before, expand(w.texts[key], s.values))
		}
		page.Before = append(page.Before, w.texts["code_is"])
		page.After = []string{
			join(expand(w.texts["valid"], s.values), w.texts["secret"]),
			w.texts[ifNotYou(m)],
		}
	}

	lines := append([]string{}, page.Before...)
	if page.Code != "" {
		lines = append(lines, page.Code)
	}
	lines = append(lines, page.After...)
	var html strings.Builder
	// A strings.Builder takes everything, and the template has no calls that can
	// fail.
	_ = mailPage().Execute(&html, page)
	return Mail{Subject: page.Subject, Text: strings.Join(lines, "\n\n") + "\n", HTML: html.String()}
}
