// Package pages is what browsers and the programs of apps read below verify/, without a
// key of the Functions host: the API page and its document, and the public keys of
// receipts.
//
// Everything here may be called by anybody, so it must never reveal who is registered. Only
// the forms of a page change anything, within its session. A page must never load anything from another origin, and must need
// no script. Its headers allow exactly what it has.
package pages

import (
	"twofa/internal/problem"
	"twofa/internal/receipt"
)

// Asset is an answer that is not JSON of the API.
type Asset struct {
	ContentType string
	Header      map[string]string
	Body        []byte
}

// Service answers the requests below verify/.
type Service struct {
	// Receipts is nil without TWOFA_PUBLIC_URL.
	Receipts *receipt.Signer
}

// KeySet returns the public keys of receipts as a JWK set (RFC 7517). The error is of kind
// NotFound without TWOFA_PUBLIC_URL.
func (s *Service) KeySet() ([]byte, error) {
	if s.Receipts == nil {
		return nil, &problem.Error{Kind: problem.NotFound, Detail: "The operator has not set TWOFA_PUBLIC_URL, so this service signs no receipts and has no keys."}
	}
	keys, err := s.Receipts.KeySet()
	if err != nil {
		return nil, problem.Unexpected(err)
	}
	return keys, nil
}
