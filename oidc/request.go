package oidc

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"twofa/internal/client"
	"twofa/internal/grant"
)

// Request is an authorization request that was read (OpenID Connect Core, 3.1.2.1). It is kept sealed in forms and
// in the row of a session.
type Request struct {
	Client      string `json:"c"`
	RedirectURI string `json:"r"`
	// FormPost is true for an answer with a form, which the browser posts. Else the answer is in the query.
	FormPost bool   `json:"f,omitzero"`
	State    string `json:"s,omitzero"`
	Nonce    string `json:"n,omitzero"`
	// Challenge is the code challenge of PKCE, with the method S256. "": none.
	Challenge string `json:"p,omitzero"`
	// Scopes are those that are known, in the order openid, phone, email, profile.
	Scopes []string `json:"o,omitzero"`
	// None asks for an answer without a page, Login for a new proof, Consent for a new question.
	None    bool `json:"z,omitzero"`
	Login   bool `json:"l,omitzero"`
	Consent bool `json:"q,omitzero"`
	// Create is true if the app would like the person to make an account (Initiating User Registration via OpenID
	// Connect 1.0).
	Create bool `json:"k,omitzero"`
	// MaxAge is how long ago the last proof may be, in seconds, -1 for any time.
	MaxAge    int    `json:"m"`
	LoginHint string `json:"h,omitzero"`
	// Hint is an ID token that says who should be signed in. Nothing in it was checked: see [Provider.ReadHint].
	Hint string `json:"i,omitzero"`
	// Subject is whom the app means, as a hint says that was checked. "": anybody.
	Subject string `json:"b,omitzero"`
	Locales string `json:"u,omitzero"`
	// Strong is true if acr_values wants ACR2, and not ACR1 as much or more.
	Strong bool `json:"a,omitzero"`
}

// PageError says why a request has no answer to an app: the address may be a stranger's. It is shown on a page.
type PageError struct {
	// Parameter is at fault.
	Parameter string
}

// Error implements error.
func (e *PageError) Error() string {
	return "oidc: " + e.Parameter + " is missing, repeated or not known"
}

// RedirectError is an error that the app gets (RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6).
type RedirectError struct {
	Code, Description string
}

// Error implements error.
func (e *RedirectError) Error() string { return "oidc: " + e.Code + ": " + e.Description }

// Values are the parameters of the answer.
func (e *RedirectError) Values() url.Values {
	return url.Values{"error": {e.Code}, "error_description": {e.Description}}
}

// The bounds of a request in bytes. Some libraries keep sealed data in the state.
const (
	maxRequest = 16 << 10
	maxState   = 4 << 10
	maxNonce   = 512
	maxHint    = 4 << 10
	// A longer login_hint or list of ui_locales is ignored.
	maxLoginHint = 320
	maxLocales   = 1 << 10
)

// scopes are those that the service knows.
var scopes = []string{"openid", "phone", "email", "profile"}

// ReadRequest reads an authorization request. An error is a *PageError, or a *RedirectError with the Request that
// says where the answer goes. The client is the one of the Request.
//
// What the service does not know is ignored, but for what would change who answers or how the answer is protected.
func ReadRequest(form url.Values, clients *client.Registry) (Request, client.Client, error) {
	c, ok := clients.Client(form.Get("client_id"))
	if !ok || len(form["client_id"]) != 1 || !c.May(client.ScopeSignIn) {
		return Request{}, client.Client{}, &PageError{"client_id"}
	}
	uri := form.Get("redirect_uri")
	if len(form["redirect_uri"]) != 1 || !c.MayRedirect(uri) {
		return Request{}, client.Client{}, &PageError{"redirect_uri"}
	}
	r := Request{Client: c.ID, RedirectURI: uri, MaxAge: -1, State: form.Get("state")}
	mode := form.Get("response_mode")
	r.FormPost = mode == "form_post" && isWeb(uri) && len(form["response_mode"]) == 1
	if len(form["state"]) > 1 || len(r.State) > maxState || !isText(r.State) {
		r.State = ""
		return r, c, invalid("state is repeated, too long or not a text.")
	}
	if err := r.read(form, c); err != nil {
		return r, c, err
	}
	return r, c, nil
}

func invalid(description string) *RedirectError {
	return &RedirectError{"invalid_request", description}
}

// isText reports whether a parameter reaches the app whole, whichever way it takes.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// isWeb reports whether a redirect address is one that a form can be posted to.
func isWeb(uri string) bool {
	return strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "http://")
}

func size(form url.Values) (n int) {
	for name, values := range form {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}

// read reads what is in a request beside the client, the address and the state.
func (r *Request) read(form url.Values, c client.Client) error {
	mode := form.Get("response_mode")
	switch {
	case size(form) > maxRequest:
		return invalid("The request is too long.")
	case isRepeated(form):
		return invalid("A parameter is repeated.")
	case form.Get("request") != "":
		return &RedirectError{"request_not_supported", "The parameter request is not supported."}
	case form.Get("request_uri") != "":
		return &RedirectError{"request_uri_not_supported", "The parameter request_uri is not supported."}
	case form.Get("registration") != "":
		return &RedirectError{"registration_not_supported", "The parameter registration is not supported."}
	case form.Get("response_type") == "":
		return invalid("response_type is missing.")
	case form.Get("response_type") != "code":
		return &RedirectError{"unsupported_response_type", "response_type has to be code."}
	case mode != "" && mode != "query" && !r.FormPost:
		return invalid("response_mode has to be query, or form_post with a web address.")
	}
	asked := strings.Fields(form.Get("scope"))
	if !slices.Contains(asked, "openid") {
		return &RedirectError{"invalid_scope", "scope has to have openid."}
	}
	for _, s := range scopes {
		if slices.Contains(asked, s) {
			r.Scopes = append(r.Scopes, s)
		}
	}
	nonce := form.Get("nonce")
	if len(nonce) > maxNonce || !isText(nonce) {
		return invalid("nonce is too long or not a text.")
	}
	r.Nonce = nonce
	if err := r.readChallenge(form, c); err != nil {
		return err
	}
	return r.readWishes(form)
}

// readChallenge reads the parameters of PKCE (RFC 7636, 4.3).
func (r *Request) readChallenge(form url.Values, c client.Client) error {
	challenge, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return invalid("code_challenge is missing.")
	case challenge == "" && (c.PKCE || c.Public):
		return invalid("code_challenge is missing: this client needs PKCE with the method S256.")
	case challenge == "":
		return nil
	case method != "S256":
		return invalid("code_challenge_method has to be S256.")
	case !grant.IsChallenge(challenge):
		return invalid("code_challenge has to be the base64url form of 32 bytes.")
	}
	r.Challenge = challenge
	return nil
}

// readWishes reads how the person should be asked.
func (r *Request) readWishes(form url.Values) error {
	prompts := strings.Fields(form.Get("prompt"))
	r.Create = slices.Contains(prompts, "create")
	r.None, r.Login, r.Consent = slices.Contains(prompts, "none"), slices.Contains(prompts, "login") || slices.Contains(prompts, "select_account"), slices.Contains(prompts, "consent")
	if r.None && len(prompts) > 1 {
		return invalid("prompt has none beside other values.")
	}
	if age := form.Get("max_age"); age != "" {
		n, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return invalid("max_age has to be a number of seconds.")
		}
		r.MaxAge = int(n)
	}
	hint := form.Get("id_token_hint")
	if len(hint) > maxHint || !isText(hint) {
		return invalid("id_token_hint is not an ID token.")
	}
	r.Hint = hint
	if login := form.Get("login_hint"); len(login) <= maxLoginHint && isText(login) {
		r.LoginHint = login
	}
	if locales := form.Get("ui_locales"); len(locales) <= maxLocales && isText(locales) {
		r.Locales = locales
	}
	r.Strong = wantsACR2(strings.Fields(form.Get("acr_values")))
	return nil
}

// wantsACR2 reports whether the first known class is ACR2: the list is in the order of preference.
func wantsACR2(values []string) bool {
	i := slices.IndexFunc(values, func(v string) bool { return v == ACR1 || v == ACR2 })
	return i >= 0 && values[i] == ACR2
}

// Grant is what the request asks for. Who has signed in and how is the caller's.
func (r Request) Grant() grant.Grant {
	return grant.Grant{Client: r.Client, RedirectURI: r.RedirectURI, Challenge: r.Challenge, Nonce: r.Nonce, Scopes: r.Scopes}
}

// Has reports whether a scope was asked for.
func (r Request) Has(scope string) bool { return slices.Contains(r.Scopes, scope) }
