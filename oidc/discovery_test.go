package oidc_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/oidckeys"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
)

// What relying parties read before anything else (OpenID Connect Discovery 1.0, 3). Those in docs/signin.md fail
// without one or another of these.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.Discovery(got())
	var doc map[string]any
	if err := json.Unmarshal(a.Body, &doc); err != nil || a.Status != http.StatusOK || a.Header["Access-Control-Allow-Origin"] != "*" || a.Header["Content-Type"] != "application/json" {
		t.Fatalf("%d %v %v", a.Status, a.Header, err)
	}
	locales, _ := doc["ui_locales_supported"].([]any)
	if len(locales) < 20 || !slices.Contains(locales, any("pt-BR")) {
		t.Errorf("the languages are %v", locales)
	}
	delete(doc, "ui_locales_supported")
	list := func(values string) (list []any) {
		for v := range strings.FieldsSeq(values) {
			list = append(list, v)
		}
		return list
	}
	want := map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token", "userinfo_endpoint": issuer + "/userinfo", "end_session_endpoint": issuer + "/end-session",
		"jwks_uri": issuer + "/jwks", "scopes_supported": list("openid phone email profile"), "response_types_supported": list("code"), "response_modes_supported": list("query form_post"),
		"grant_types_supported": list("authorization_code"), "acr_values_supported": list("urn:twofa:acr:1 urn:twofa:acr:2"), "subject_types_supported": list("pairwise"),
		"id_token_signing_alg_values_supported": list("RS256"), "token_endpoint_auth_methods_supported": list("client_secret_basic client_secret_post none"), "code_challenge_methods_supported": list("S256"),
		"claims_supported":           list("iss aud sub exp iat auth_time jti nonce at_hash amr acr phone_number phone_number_verified email email_verified name preferred_username"),
		"claims_parameter_supported": false, "request_parameter_supported": false, "request_uri_parameter_supported": false, "authorization_response_iss_parameter_supported": true,
	}
	if !reflect.DeepEqual(doc, want) {
		t.Errorf("\n got %v\nwant %v", doc, want)
	}
}

func TestKeySet(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	keys := func() (kids []string) {
		a := h.KeySet(got())
		var set struct{ Keys []map[string]string }
		if err := json.Unmarshal(a.Body, &set); err != nil || a.Status != http.StatusOK || a.Header["Access-Control-Allow-Origin"] != "*" || a.Header["Cache-Control"] != "public, max-age=300" {
			t.Fatalf("%d %v: %s", a.Status, a.Header, a.Body)
		}
		for _, k := range set.Keys {
			if k["d"] != "" || k["kty"] != "RSA" {
				t.Errorf("published: %v", k)
			}
			kids = append(kids, k["kid"])
		}
		return kids
	}
	before := keys()
	if _, err := h.Keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(oidckeys.MaxAge)
	if after := keys(); len(before) != 2 || len(after) != 2 || slices.Contains(after, before[0]) || after[0] != before[1] {
		t.Errorf("before a leak %v, after it %v", before, after)
	}
	h.clock.Advance(time.Hour)
	h.table.Break(rig.FaultFrom(1, rig.Down))
	a := h.KeySet(got())
	if a.Status != http.StatusServiceUnavailable || a.Header["Cache-Control"] != "no-store" || a.Header["Retry-After"] == "" || !problem.Is(a.Problem, problem.StorageUnavailable) {
		t.Errorf("without storage: %d %v %v", a.Status, a.Header, a.Problem)
	}
}
