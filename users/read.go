package users

import (
	"context"

	"twofa/internal/address"
	"twofa/internal/problem"
	"twofa/internal/user"
)

// read checks all fields of a request. It returns the user that the request
// describes, and the parsed phone number.
func (s *Service) read(ctx context.Context, name string, req Request, faults *problem.Faults) (want user.User, number address.Address) {
	p := user.Profile{
		Directory: user.DirectoryOf(ctx), Name: checkName(name, faults),
		Phone: req.Phone, Email: req.Email, Locale: req.Locale, Channels: req.Channels,
	}
	if req.Name != "" {
		checkSameName(req.Name, p.Name, faults)
	}
	return p.Read(s.Channels, faults)
}

// checkName returns the name of the path in its normal form, and notes a fault.
func checkName(name string, faults *problem.Faults) string {
	name, err := user.ParseName(name)
	faults.AddAll(err)
	return name
}

// checkSameName notes a name in the body that is not the name in the path: a wrongly
// encoded path may arrive as that of another user. inPath is "" if it has a fault
// of its own.
func checkSameName(inBody, inPath string, faults *problem.Faults) {
	inBody, err := user.ParseName(inBody)
	switch {
	case err != nil:
		faults.AddAs("name", err)
	case inPath != "" && inBody != inPath:
		faults.Add("name", "The path has another name. In the path, write the name as ~ and the base64url form of its UTF-8, without padding.")
	}
}
