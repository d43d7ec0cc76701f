package users

import (
	"crypto/rand"
	"errors"
	"strconv"
	"strings"

	"twofa/internal/phone"
	"twofa/internal/problem"
	"twofa/internal/shown"
	"twofa/internal/totp"
)

// Whole is a whole number. In a form it is a text.
type Whole int

var errWhole = errors.New("users: not a whole number")

// UnmarshalJSON reads 6 and "6".
func (w *Whole) UnmarshalJSON(text []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(text), `"`))
	if err != nil {
		return errWhole // not the library's error, which quotes the text
	}
	*w = Whole(n)
	return nil
}

// maxIssuer is the longest issuer in characters: apps show one line.
const maxIssuer = 64

// readIssuer returns the issuer in its one form, and notes one that an app could not
// show.
func readIssuer(issuer string, faults *problem.Faults) string {
	form, fault := shown.Read(issuer, maxIssuer)
	if fault != "" {
		faults.Add("issuer", "%s", fault)
	}
	return form
}

func checkID(id string, faults *problem.Faults) {
	_, err := totp.ParseID(id)
	faults.AddAll(err)
}

// readEnrollment returns the authenticator that a request asks for: with a new
// secret, or with the one in its URI.
func readEnrollment(req EnrollRequest, faults *problem.Faults) totp.Authenticator {
	var a totp.Authenticator
	if req.URI == "" {
		a.Options = totp.Options{Algorithm: req.Algorithm, Digits: int(req.Digits), Period: int(req.Period)}.Check(faults)
		a.Secret = make([]byte, totp.SecretBytes)
		_, _ = rand.Read(a.Secret) // never fails: crypto/rand ends the process instead
	} else {
		if req.Algorithm != "" || req.Digits != 0 || req.Period != 0 {
			faults.Add("uri", "The URI has algorithm, digits and period: leave those fields out.")
		}
		a = readURI(req, faults)
	}
	if req.Name != "" {
		a.Name = totp.CheckName(req.Name, faults)
	}
	return a
}

// readURI returns the authenticator in a request's URI. Of an export with several
// accounts, it is the only one with the request's issuer.
func readURI(req EnrollRequest, faults *problem.Faults) totp.Authenticator {
	if !strings.HasPrefix(strings.ToLower(phone.Trim(req.URI)), "otpauth-migration:") {
		a, _, _, err := totp.ParseURI(req.URI)
		faults.AddAll(err)
		return a
	}
	list, err := totp.ParseMigration(req.URI)
	if err != nil {
		faults.AddAll(err)
		return totp.Authenticator{}
	}
	var matching []totp.Migrated
	for _, m := range list {
		if len(list) == 1 || req.Issuer != "" && strings.EqualFold(shown.Form(m.Issuer), shown.Form(req.Issuer)) {
			matching = append(matching, m)
		}
	}
	switch {
	case len(matching) != 1:
		faults.Add("uri", "The export has %d accounts, of which %d have the issuer of this request. Send the issuer of the account that you want.", len(list), len(matching))
	case matching[0].Err != nil:
		faults.AddAll(matching[0].Err)
	default:
		return matching[0].Authenticator
	}
	return totp.Authenticator{}
}
