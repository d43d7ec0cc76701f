package users

import (
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"twofa/internal/problem"
	"twofa/internal/totp"
)

// Whole is a whole number, which a form can only write as a text.
type Whole int

var errWhole = errors.New("users: not a whole number")

// UnmarshalJSON reads 6 and "6".
func (w *Whole) UnmarshalJSON(text []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(text), `"`))
	if err != nil {
		return errWhole // and not the library's, which quotes
	}
	*w = Whole(n)
	return nil
}

// maxIssuer is how long an issuer may be, in characters: apps show one line.
const maxIssuer = 64

// checkIssuer notes what an app could not show as the issuer.
func checkIssuer(issuer string, faults *problem.Faults) {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.RuneCountInString(issuer) > maxIssuer || strings.ContainsFunc(issuer, unprintable) {
		faults.Add("issuer", "An issuer has at most %d printable characters.", maxIssuer)
	}
}

func checkID(id string, faults *problem.Faults) {
	if _, bad := totp.ParseID(id); bad != nil {
		faults.AddAll(bad)
	}
}

// readEnrollment is the authenticator that a request wants: a new one, or the
// one in its URI.
func (s *Service) readEnrollment(req EnrollRequest, faults *problem.Faults) totp.Authenticator {
	var a totp.Authenticator
	if req.URI == "" {
		a.Options = totp.Options{Algorithm: req.Algorithm, Digits: int(req.Digits), Period: int(req.Period)}.Check(faults)
		a.Secret = make([]byte, totp.SecretBytes)
		_, _ = rand.Read(a.Secret) // never fails: crypto/rand ends the process instead
	} else {
		if req.Algorithm != "" || req.Digits != 0 || req.Period != 0 {
			faults.Add("uri", "The URI says algorithm, digits and period; leave those fields out.")
		}
		a = s.readURI(req, faults)
	}
	if a.Name = req.Name; req.Name != "" {
		a.Name = totp.CheckName(req.Name, faults)
	}
	return a
}

// readURI takes a secret that an app has already.
func (s *Service) readURI(req EnrollRequest, faults *problem.Faults) totp.Authenticator {
	if !strings.HasPrefix(strings.ToLower(req.URI), "otpauth-migration:") {
		a, _, _, err := totp.ParseURI(req.URI)
		if err != nil {
			faults.AddAll(err)
		}
		return a
	}
	list, err := totp.ParseMigration(req.URI)
	if bad, ok := errors.AsType[*problem.Error](err); ok {
		faults.AddAll(bad)
		return totp.Authenticator{}
	}
	var ours []totp.Migrated
	for _, m := range list {
		if len(list) == 1 || req.Issuer != "" && strings.EqualFold(m.Issuer, req.Issuer) {
			ours = append(ours, m)
		}
	}
	switch {
	case len(ours) != 1:
		faults.Add("uri", "The export has %d accounts, of which %d have the issuer of this request. Name the one that is meant by its issuer.", len(list), len(ours))
	case ours[0].Err != nil:
		faults.AddAll(ours[0].Err)
	default:
		return ours[0].Authenticator
	}
	return totp.Authenticator{}
}
