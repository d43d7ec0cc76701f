package texts

import (
	"html"
	"strings"

	"twofa/internal/notify"
)

// Mail is the message as an e-mail. The subject is one line and never holds the
// code: the sender of mails adds it if the operator wants that. text and page, which is HTML, say the
// same. If m.Alert is set, Mail is the warning.
func (c *Catalogue) Mail(m notify.Message) (subject, text, page string) {
	w := c.wordingFor(m)
	s := w.subjectOf(m, true)
	// The subject has neither isolates nor no-break spaces, because the sender of
	// mails removes them.
	header := w.subjectOf(m, false).values
	if m.Alert {
		subject = expand(w.texts["mail_subject_alert"], header)
		warning := s.alert(m, w.chat)
		return subject, warning + "\n", w.page(subject, paragraph(warning))
	}
	subject = expand(w.texts["mail_subject"], header)
	before := []string{expand(w.chat("intro_"+s.kind), s.values)}
	for _, key := range s.parts {
		before = append(before, expand(w.chat(key), s.values))
	}
	before = append(before, w.chat("code_is"))
	after := []string{join(expand(w.chat(s.valid), s.values), w.chat("secret"))}
	if line := w.chat(w.ifNotYou(m, s)); line != "" {
		after = append(after, line)
	}

	var lines []string
	var body strings.Builder
	for _, line := range before {
		lines = append(lines, line)
		body.WriteString(paragraph(line))
	}
	lines = append(lines, m.Code)
	body.WriteString(`<p style="margin:0 0 16px"><span dir="ltr" style="font-size:32px;font-weight:bold;font-family:Consolas,Menlo,monospace;letter-spacing:4px">` +
		html.EscapeString(m.Code) + "</span></p>\n")
	if m.Link != "" {
		words := w
		if w.texts["mail_link"] == "" || w.texts["mail_link_button"] == "" { // an operator's file for a language of its own
			words = c.wording(English)
		}
		button := "mail_link_button"
		if s.kind == "payment" && words.texts["page_continue"] != "" { // the page shows what is approved
			button = "page_continue"
		}
		before := words.chat("mail_link")
		lines = append(lines, before, m.Link)
		body.WriteString(paragraph(before))
		body.WriteString(`<p style="margin:0 0 16px"><a href="` + html.EscapeString(m.Link) + `" style="display:inline-block;padding:12px 24px;border-radius:8px;font-weight:bold;text-decoration:none;color:#ffffff;background:#1d4ed8">` +
			html.EscapeString(words.chat(button)) + "</a></p>\n")
	}
	for _, line := range after {
		lines = append(lines, line)
		body.WriteString(paragraph(line))
	}
	return subject, strings.Join(lines, "\n\n") + "\n", w.page(subject, body.String())
}

func paragraph(line string) string {
	return `<p style="margin:0 0 16px">` + html.EscapeString(line) + "</p>\n"
}

// page is the HTML of a mail. It loads nothing. It does not use
// html/template, which would add 2.5 MB to the binary: it calls methods by name,
// so the linker cannot leave out unused code. All texts are between tags or in quotes,
// where EscapeString is sufficient. A link is one of the service's own.
func (w *wording) page(subject, body string) string {
	direction := "ltr"
	if w.rightToLeft {
		direction = "rtl"
	}
	return "<!DOCTYPE html>\n" + `<html lang="` + w.tag + `" dir="` + direction + `">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>` + html.EscapeString(subject) + `</title></head>
<body style="margin:0;padding:24px;font-family:Arial,Helvetica,sans-serif;font-size:16px;line-height:1.5;color:#1a1a1a;background:#ffffff">
` + body + `</body>
</html>
`
}
