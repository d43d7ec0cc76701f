package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"sync"
)

//go:embed pages/*.html pages/style.css
var files embed.FS

var templates = template.Must(template.ParseFS(files, "pages/*.html"))

// bank is the app. Use newBank.
type bank struct {
	twofa    *twofa
	accounts *accounts
	sessions *sessions
	url      string // the bank's own origin
	key      []byte // of derive
	demo     bool   // serves the page that attacks an account
	log      *slog.Logger

	warnings sync.WaitGroup // alerts that are on their way
	warning  chan struct{}  // holds one entry for each of them
}

func newBank(t *twofa, origin string, log *slog.Logger) *bank {
	return &bank{
		twofa: t, accounts: newAccounts(), sessions: newSessions(), url: origin, key: []byte(random()), log: log,
		warning: make(chan struct{}, maxWarnings),
	}
}

// maxForm is the longest form that is read, in bytes.
const maxForm = 16 << 10

// handler serves all pages. A form that another site sends is refused.
func (b *bank) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.home)
	mux.HandleFunc("GET /style.css", style)
	mux.HandleFunc("GET /signup", b.signUpForm)
	mux.HandleFunc("POST /signup", b.signUp)
	mux.HandleFunc("GET /login", b.loginForm)
	mux.HandleFunc("POST /login", b.logIn)
	mux.HandleFunc("GET /2fa", b.codeForm)
	mux.HandleFunc("POST /2fa", b.checkCode)
	mux.HandleFunc("POST /2fa/resend", b.resend)
	mux.HandleFunc("GET /2fa/done", b.pageDone)
	mux.HandleFunc("POST /pay", b.pay)
	mux.HandleFunc("GET /pay/code", b.payForm)
	mux.HandleFunc("POST /pay/code", b.checkPayment)
	mux.HandleFunc("POST /pay/code/resend", b.resendPayment)
	mux.HandleFunc("GET /pay/done", b.payDone)
	mux.HandleFunc("GET /security", b.security)
	mux.HandleFunc("POST /security/setup", b.setUp)
	mux.HandleFunc("GET /security/proven", b.proven)
	mux.HandleFunc("GET /security/done", b.enrolled)
	mux.HandleFunc("POST /logout", b.logOut)
	if b.demo {
		mux.HandleFunc("GET /attack", b.attackForm)
		mux.HandleFunc("POST /attack", b.attack)
	}
	var forms http.CrossOriginProtection
	return b.secure(forms.Handler(mux))
}

// secure sets the headers of every answer.
func (b *bank) secure(next http.Handler) http.Handler {
	// The login form is answered with a redirect to twofa's page, and browsers hold such a
	// redirect to form-action, so twofa's origin stands there.
	policy := "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self' " + b.twofa.origin
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer") // the address of /2fa/done has a result in it
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if strings.HasPrefix(b.url, "https:") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// derive returns 43 characters of base64url that only the bank can make, the same for the same
// parts. Parts have no line breaks but for the last one.
func (b *bank) derive(parts ...string) string {
	mac := hmac.New(sha256.New, b.key)
	_, _ = mac.Write([]byte(strings.Join(parts, "\n"))) // never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// view is what the templates get.
type view struct {
	Title   string
	Error   string // what went wrong, in words
	Bad     string // the field to change
	Done    string // what was done
	Name    string
	Contact string // as typed
	Once    string // names a form: its repetition is the same request to twofa
	Demo    bool

	Code     *codeView
	Home     *homeView
	Security *securityView
	Attack   *attackView
}

// titles are the pages' titles, by template.
var titles = map[string]string{
	"welcome": "Welcome", "signup": "Open an account", "login": "Log in", "home": "Your account", "retry": "Almost there",
	"security": "Security", "attack": "What an attacker sees",
}

// render writes a page. Its form, if it has one, is new unless v.Once names an earlier one.
func (b *bank) render(w http.ResponseWriter, status int, name string, v view) {
	v.Title, v.Demo = titles[name], b.demo
	if v.Code != nil {
		v.Title = v.Code.Title()
	}
	if v.Once == "" {
		v.Once = random()
	}
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, name+".html", v); err != nil {
		b.log.Error("a template failed", "page", name)
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // an error means that the browser is gone
}

// refuse renders a page with what went wrong.
func (b *bank) refuse(w http.ResponseWriter, name string, v view, err error) {
	v.Error, v.Bad = words(err)
	b.render(w, http.StatusUnprocessableEntity, name, v)
}

func style(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "pages/style.css") }

func (b *bank) home(w http.ResponseWriter, r *http.Request) {
	if s := b.session(r); s.Name != "" {
		b.render(w, http.StatusOK, "home", view{Done: b.takeDone(r), Home: b.account(s)})
		return
	}
	b.render(w, http.StatusOK, "welcome", view{})
}

// homeView is the page of a person who is signed in.
type homeView struct {
	account
	How           string
	Left          *int   // recovery codes, if one was used
	Amount, Payee string // as typed
	Own           bool   // the payment is approved in the bank's own form
}

func (b *bank) account(s session) *homeView {
	found, _ := b.accounts.find(s.Name)
	return &homeView{account: found, How: s.How, Left: s.Left}
}

// takeDone returns what was done since the last page, once.
func (b *bank) takeDone(r *http.Request) (done string) {
	b.change(r, func(s *session) { done, s.done = s.done, "" })
	return done
}

func (b *bank) signUpForm(w http.ResponseWriter, _ *http.Request) {
	b.render(w, http.StatusOK, "signup", view{})
}

// signUp makes an account, and tells twofa where its codes go. The name is taken before twofa is
// called: else two people who choose it at once would share the address of the one and the
// password of the other.
func (b *bank) signUp(w http.ResponseWriter, r *http.Request) {
	name, contact := strings.TrimSpace(r.PostFormValue("name")), strings.TrimSpace(r.PostFormValue("contact"))
	err := b.accounts.reserve(r.Context(), name, r.PostFormValue("password"))
	if err == nil {
		if err = b.twofa.putUser(r.Context(), name, contact); err != nil {
			b.accounts.release(name)
		}
	}
	if err != nil {
		b.refuse(w, "signup", view{Name: name, Contact: contact}, err)
		return
	}
	b.accounts.open(name)
	b.know(w, name)
	http.Redirect(w, r, "/login?new", http.StatusSeeOther)
}
