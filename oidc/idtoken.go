package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"twofa/internal/account"
	"twofa/internal/client"
	"twofa/internal/grant"
)

// claimNames are the claims that the service knows.
var claimNames = []string{
	"iss", "aud", "sub", "exp", "iat", "auth_time", "jti", "nonce", "at_hash", "amr", "acr",
	"phone_number", "phone_number_verified", "email", "email_verified", "name", "preferred_username",
}

// personClaims are the claims about a person for a client (OpenID Connect Core, 5.1 and 5.4). They are the same in
// the ID token and in userinfo, because relying parties read one of these only. A claim is there if its scope was
// granted and its value is known.
func personClaims(person account.State, c client.Client, granted []string) map[string]any {
	claims := map[string]any{"sub": person.Subject(c.Sector)}
	if phone := person.Phone(); phone != "" && slices.Contains(granted, "phone") {
		claims["phone_number"], claims["phone_number_verified"] = phone, true
	}
	if email := person.Email(); email != "" && slices.Contains(granted, "email") {
		claims["email"], claims["email_verified"] = email, true
	}
	if slices.Contains(granted, "profile") {
		claims["preferred_username"] = person.Username(c.Sector)
		if person.Name != "" {
			claims["name"] = person.Name
		}
	}
	return claims
}

// idClaims are the claims of an ID token that is issued now with an access token (OpenID Connect Core, 2 and
// 3.1.3.6). Times are in whole seconds, and none is in the future.
func idClaims(issuer string, g grant.Grant, person account.State, c client.Client, token string, now time.Time) jwt.MapClaims {
	claims := jwt.MapClaims(personClaims(person, c, g.Scopes))
	claims["iss"], claims["aud"] = issuer, c.ID
	claims["iat"], claims["exp"] = now.Unix(), now.Add(grant.TokenLifetime).Unix()
	claims["auth_time"] = min(g.AuthTime.Unix(), now.Unix())
	claims["jti"] = rand.Text()
	claims["at_hash"] = accessTokenHash(token)
	if len(g.AMR) > 0 {
		claims["amr"] = g.AMR
	}
	if g.ACR != "" {
		claims["acr"] = g.ACR
	}
	if g.Nonce != "" {
		claims["nonce"] = g.Nonce
	}
	return claims
}

// accessTokenHash is the left half of the SHA-256 of an access token, for RS256.
func accessTokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}
