package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"twofa/internal/channel"
	"twofa/internal/texts"
)

//go:embed templates/*.html
var files embed.FS

// templates are parsed when the first page is shown, so that the start of the process does
// not wait for them.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(files, "templates/*.html"))
})

// Renderer turns screens into HTML. It is safe for concurrent use.
type Renderer struct{ Texts *texts.Catalogue }

// layout is what the template of a page gets.
type layout struct {
	screen
	Lang, Dir, Style, Script string
	// Refresh is where the browser goes by itself, "" for nowhere.
	Refresh string
	Body    template.HTML
}

// screen is what the template of a screen gets.
type screen struct {
	S     any
	Look  Look
	Title string
	// Lead is the sentence below the title. If it has an address, it goes on with To and
	// LeadEnd.
	Lead, To, LeadEnd string
	Fault             *Fault

	texts texts.PageTexts
	now   time.Time
}

// Render returns a screen, which is one of the types of this package, as a page in the language
// of the locale. An error is a defect.
func (r *Renderer) Render(locale string, look Look, s any, now time.Time) ([]byte, error) {
	t := r.Texts.Page(locale)
	p := layout{screen: screen{S: s, Look: look, texts: t, now: now}, Lang: t.Tag, Dir: "ltr", Style: StylePath(look.Color), Script: scriptPath()}
	if t.RightToLeft {
		p.Dir = "rtl"
	}
	name := p.describe(s)
	if name == "" {
		return nil, fmt.Errorf("web: no template for a %T", s)
	}
	if end, ok := s.(EndScreen); ok && end.Auto && isWebAddress(end.Return) {
		p.Refresh = "0;url=" + end.Return
	}
	var body, page bytes.Buffer
	if err := templates().ExecuteTemplate(&body, name, p.screen); err != nil {
		return nil, fmt.Errorf("web: the template %s failed with a %T", name, err)
	}
	p.Body = template.HTML(body.String()) //nolint:gosec // made by html/template
	if err := templates().ExecuteTemplate(&page, "page", p); err != nil {
		return nil, fmt.Errorf("web: the template of the page failed with a %T", err)
	}
	return page.Bytes(), nil
}

// isWebAddress reports whether a browser may go to an address by itself. html/template does
// not check the address of a refresh, as it does that of a link.
func isWebAddress(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// describe sets the title, the lead and the fault, and returns the name of the template.
func (s *screen) describe(of any) string {
	switch v := of.(type) {
	case AddressScreen:
		s.Title, s.Lead, s.Fault = s.addressTitle(v), s.Kind("page_address_lead"), v.Fault
		if v.Required {
			s.Lead = s.T("page_require_lead")
		}
		return "address"
	case CodeScreen:
		s.Fault = v.Fault
		s.describeCode(v)
		return "code"
	case HelpScreen:
		s.Title, s.Fault = s.T("page_help_title"), v.Fault
		if v.Resend != nil {
			s.Lead = s.T("page_help_lead")
		}
		return "help"
	case EndScreen:
		s.Title, s.Lead = s.T("page_end_"+v.Reason+"_title"), s.T("page_end_"+v.Reason+"_lead")
		return "end"
	}
	return s.describeMore(of)
}

// toMark stands for the masked address in a text, which is cut there.
const toMark = "\ufffc"

// describeCode sets the title and the lead of a CodeScreen. A code that cannot be used any
// more is not one that a person should look for.
func (s *screen) describeCode(v CodeScreen) {
	switch {
	case v.NewCode != nil:
		s.Title = s.T("page_new_code")
		if v.Fault == nil {
			s.Lead = s.T("page_code_expired")
		}
	case v.Way == WayMessage:
		s.Title = s.T("page_code_title_" + string(v.Channel))
		s.Lead, s.LeadEnd = s.cut("page_code_lead_" + string(v.Channel))
		s.To = v.To
	case v.Way == WayQuiet, v.Way == WayOpen:
		lead := "page_" + string(v.Way) + "_lead"
		if v.Email {
			lead += "_email"
		}
		s.Title = s.T("page_quiet_title")
		s.Lead, s.LeadEnd = s.cut(lead)
		s.To = v.To
	default:
		s.Title, s.Lead = s.T("page_"+string(v.Way)+"_title"), s.T("page_"+string(v.Way)+"_lead")
	}
}

// cut returns what a text has before and after a masked address.
func (s screen) cut(key string) (before, after string) {
	before, after, _ = strings.Cut(s.texts.Text(key, map[string]string{"to": toMark}), toMark)
	return before, after
}

// Initial is the first letter or digit of the brand, which stands in the place of a logo.
func (s screen) Initial() string {
	for _, r := range s.Look.Brand {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return ""
}

// T is a text without a placeholder, or with the brand's.
func (s screen) T(key string) string {
	return s.texts.Text(key, map[string]string{"brand": s.Look.Brand})
}

// MayCancel is true if the screen has a button to cancel.
func (s screen) MayCancel() bool {
	switch s.S.(type) {
	case LinkScreen, ShownScreen:
		return false
	}
	return true
}

// Problem is the text of the fault.
func (s screen) Problem() string { return s.texts.Text(s.Fault.Key, s.Fault.Values) }

// FieldID is the id of the screen's field, or of the one at fault.
func (s screen) FieldID() string {
	switch v := s.S.(type) {
	case AddressScreen:
		return "address"
	case SignUpScreen:
		if s.Fault == nil || s.Fault.Key == personFault {
			return "name"
		}
		return "address"
	case NameScreen:
		return "name"
	case ScanScreen:
		if v.Fault != nil && v.Fault.Key == nameFault {
			return "name"
		}
	}
	return "code"
}

// address is the fields of a screen that asks for an address.
func (s screen) address() (v AddressScreen, ok bool) {
	switch v := s.S.(type) {
	case AddressScreen:
		return v, true
	case SignUpScreen:
		return v.AddressScreen, true
	}
	return v, false
}

// AttributesOf are FieldAttributes for one of several fields.
func (s screen) AttributesOf(field string) template.HTMLAttr {
	if s.FieldID() != field {
		return ""
	}
	return s.FieldAttributes()
}

// FieldAttributes tie the field to its error and its hint, and give it the focus if there is
// no error.
func (s screen) FieldAttributes() template.HTMLAttr {
	var described []string
	if s.Fault != nil && s.Fault.Field {
		described = append(described, "field-error")
	}
	if s.Expires() != "" {
		described = append(described, "expires")
	}
	attributes := ""
	if described != nil {
		attributes = ` aria-describedby="` + strings.Join(described, " ") + `"`
	}
	switch {
	case s.Fault == nil:
		attributes += " autofocus"
	case s.Fault.Field:
		attributes += ` aria-invalid="true"`
	}
	return template.HTMLAttr(attributes) //nolint:gosec // fixed words
}

// CodeAttributes are those of the code of a ScanScreen. It does not get the focus by itself:
// the person has to see the QR code above it first.
func (s screen) CodeAttributes() template.HTMLAttr {
	return template.HTMLAttr(strings.TrimSuffix(string(s.FieldAttributes()), " autofocus")) //nolint:gosec // fixed words
}

// Kind is the text of an AddressScreen for the kinds of address that can be reached.
func (s screen) Kind(key string) string {
	v, _ := s.address()
	switch {
	case !v.Emails:
		key += "_phone"
	case !v.Phones:
		key += "_email"
	}
	return s.T(key)
}

// Autocomplete is the purpose of the field (WCAG 1.3.5).
func (s screen) Autocomplete() string {
	if v, ok := s.address(); ok {
		switch {
		case !v.Emails:
			return "tel"
		case !v.Phones:
			return "email"
		}
		return "username"
	}
	if v, _ := s.S.(CodeScreen); v.Way == WayRecovery {
		return "off"
	}
	return "one-time-code"
}

// InputType is the type of the field of an AddressScreen.
func (s screen) InputType() string {
	switch v, _ := s.address(); {
	case !v.Emails:
		return "tel"
	case !v.Phones:
		return "email"
	}
	return "text"
}

// InputMode is the keyboard of a phone, "" if it follows from the type of the field.
func (s screen) InputMode() string {
	switch v := s.S.(type) {
	case AddressScreen, SignUpScreen:
		return ""
	case CodeScreen:
		if v.Digits {
			return "numeric"
		}
	}
	return "text"
}

// Regions are the options of an AddressScreen.
func (s screen) Regions() template.HTML {
	v, _ := s.address()
	return regions(s.texts, v.Country, v.Countries)
}

// The isolates (UAX #9). An option has no elements in it that could do the same.
const (
	leftToRightIsolate = "\u2066"
	popIsolate         = "\u2069"
)

// CodeLabel is the label of the field of a CodeScreen.
func (s screen) CodeLabel() string {
	if v, _ := s.S.(CodeScreen); v.Way == WayRecovery {
		return s.T("page_recovery_label")
	}
	return s.T("page_code_label")
}

// The lengths of codes for which the style has a width of the field. A longer one has a wide
// field.
const (
	minCode = 4
	maxCode = 8
)

// CodeClass is the class of the field of a CodeScreen.
func (s screen) CodeClass() string {
	switch v, _ := s.S.(CodeScreen); {
	case v.Way == WayRecovery || v.Length > maxCode:
		return "code long"
	case v.Length >= minCode:
		return "code n" + strconv.Itoa(v.Length)
	case v.Way == WayApp:
		return "code n6"
	}
	return "code"
}

// SMS is true if the browser may read the code out of a text message.
func (s screen) SMS() bool {
	v, _ := s.S.(CodeScreen)
	return v.Way == WayMessage && v.Channel == channel.SMS || (v.Way == WayQuiet || v.Way == WayOpen) && !v.Email
}

// Left is for how many seconds the code can still be used, 0 if that is not shown.
func (s screen) Left() int {
	v, _ := s.S.(CodeScreen)
	if v.ExpiresAt.IsZero() || v.NewCode != nil {
		return 0
	}
	return max(0, int(v.ExpiresAt.Sub(s.now)/time.Second))
}

// Expires is how long the code can still be used, "" if that is not shown.
func (s screen) Expires() string {
	if s.Left() == 0 {
		return ""
	}
	return s.texts.Text("page_code_expires", map[string]string{"minutes": strconv.Itoa(Ceil(time.Duration(s.Left())*time.Second, time.Minute))})
}

// ExpiresText is Expires with its placeholder, for the script.
func (s screen) ExpiresText() string {
	return s.texts.Text("page_code_expires", map[string]string{"minutes": "{minutes}"})
}

// Wait is how many seconds the resend has to wait, 0 for none.
func (s screen) Wait() int {
	v, _ := s.S.(HelpScreen)
	if left := v.ResendAfter.Sub(s.now); v.Resend != nil && left > 0 {
		return Ceil(left, time.Second)
	}
	return 0
}

// WaitText is the text of the pause with its placeholder, for the script. WaitNow has the
// present number.
func (s screen) WaitText() string {
	return s.texts.Text("page_resend_wait", map[string]string{"seconds": "{seconds}"})
}

// WaitNow is WaitText with the present number.
func (s screen) WaitNow() string {
	return s.texts.Text("page_resend_wait", map[string]string{"seconds": strconv.Itoa(s.Wait())})
}

// Wait returns a pause in words, rounded up: minutes, or hours from two on.
func (r *Renderer) Wait(locale string, d time.Duration) string {
	return wait(r.Texts.Page(locale), d)
}

func wait(t texts.PageTexts, d time.Duration) string {
	if d > 2*time.Hour {
		return t.Text("page_wait_hours", map[string]string{"hours": strconv.Itoa(Ceil(d, time.Hour))})
	}
	return t.Text("page_wait_minutes", map[string]string{"minutes": strconv.Itoa(Ceil(d, time.Minute))})
}

// Ceil returns a duration in whole units, rounded up, and at least 1.
func Ceil(d, unit time.Duration) int {
	return max(1, int(math.Ceil(float64(d)/float64(unit))))
}
