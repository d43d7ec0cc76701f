package oidc

import (
	"net/http"

	"twofa/internal/problem"
	"twofa/internal/web"
)

// How long relying parties may keep what is published. A key that has leaked is replaced at once, so that the keys
// are kept for a short time.
const (
	discoveryMaxAge = "public, max-age=3600"
	keysMaxAge      = "public, max-age=300"
)

// metadata is OpenID Connect Discovery 1.0, 3, and RFC 8414, 2. What it does not have is not supported.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Userinfo      string   `json:"userinfo_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Scopes        []string `json:"scopes_supported"`
	ResponseTypes []string `json:"response_types_supported"`
	ResponseModes []string `json:"response_modes_supported"`
	GrantTypes    []string `json:"grant_types_supported"`
	ACRs          []string `json:"acr_values_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	Claims        []string `json:"claims_supported"`
	Locales       []string `json:"ui_locales_supported"`
	ClaimsParam   bool     `json:"claims_parameter_supported"`
	RequestParam  bool     `json:"request_parameter_supported"`
	RequestURI    bool     `json:"request_uri_parameter_supported"`
	Prompts       []string `json:"prompt_values_supported,omitzero"`
	Iss           bool     `json:"authorization_response_iss_parameter_supported"`
}

// Discovery answers what the provider supports.
func (p *Provider) Discovery(*http.Request) web.Answer {
	var prompts []string
	if p.SignUp { // else nobody needs to know
		prompts = []string{"none", "login", "consent", "select_account", "create"}
	}
	a := answerJSON(http.StatusOK, metadata{
		Issuer: p.Issuer, Authorization: p.Issuer + authorizePath, Token: p.Issuer + tokenPath, Userinfo: p.Issuer + userinfoPath,
		EndSession: p.Issuer + endSessionPath, Keys: p.Issuer + keysPath,
		Scopes: scopes, ResponseTypes: []string{"code"}, ResponseModes: []string{"query", "form_post"}, GrantTypes: []string{"authorization_code"},
		ACRs: []string{ACR1, ACR2}, SubjectTypes: []string{"pairwise"}, Algorithms: []string{"RS256"},
		AuthMethods: []string{"client_secret_basic", "client_secret_post", "none"}, Challenges: []string{"S256"},
		Claims: claimNames, Locales: p.Renderer.Texts.Languages(), Prompts: prompts, Iss: true,
	})
	return published(a, discoveryMaxAge)
}

// KeySet answers the public keys that check ID tokens (RFC 7517). At most one round trip.
func (p *Provider) KeySet(r *http.Request) web.Answer {
	set, err := p.Keys.Load(r.Context())
	if err != nil {
		return published(failed(err).answer(), "no-store")
	}
	text, err := set.KeySet(p.Now())
	if err != nil {
		return published(failed(problem.Unexpected(err)).answer(), "no-store")
	}
	return published(web.Answer{Status: http.StatusOK, Header: map[string]string{"Content-Type": "application/json"}, Body: text}, keysMaxAge)
}

// published is an answer that every script may read.
func published(a web.Answer, cache string) web.Answer {
	delete(a.Header, "Pragma")
	a.Header["Cache-Control"] = cache
	a.Header["Access-Control-Allow-Origin"] = "*"
	return a
}
