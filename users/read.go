package users

import (
	"slices"
	"strings"

	"twofa/internal/address"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/problem"
	"twofa/internal/user"
)

// read checks a request's fields, all of them, before anything is stored. phoned
// is the phone, if there is one.
func (s *Service) read(name string, req Request, faults *problem.Faults) (want user.User, phoned address.Address) {
	want = user.User{Name: checkName(name, faults), Locale: req.Locale, Channels: req.Channels}
	if req.Name != "" {
		checkSameName(req.Name, want.Name, faults)
	}
	if req.Phone != "" {
		n, err := phone.Parse(req.Phone)
		if err != nil {
			faults.Add("phone", "%s", err)
		}
		want.Phone, phoned = n.E164, address.Address{Text: n.E164, Number: n}
	}
	if req.Email != "" {
		a, err := address.ParseEmail(req.Email)
		if err != nil {
			faults.Add("email", "%s", err)
		}
		want.Email = a.Text
	}
	if req.Phone == "" && req.Email == "" {
		faults.Add("phone", "Give a phone number or an e-mail address, or both: a user without either cannot be reached.")
	}
	otp.CheckLocale(req.Locale, faults)
	s.checkChannels(req, faults)
	return want, phoned
}

// checkName returns the name of the path in its one form, and notes a fault.
func checkName(name string, faults *problem.Faults) string {
	name, bad := user.ParseName(name)
	if bad != nil {
		faults.AddAll(bad)
	}
	return name
}

// checkSameName notes a body's name that is not the path's: on its way the path
// may have become that of another user. There is no need of it if the path's
// own has a fault ("").
func checkSameName(inBody, inPath string, faults *problem.Faults) {
	inBody, bad := user.ParseName(inBody)
	switch {
	case bad != nil:
		faults.AddAs("name", bad)
	case inPath != "" && inBody != inPath:
		faults.Add("name", "The name in the path is another one. In the path it is percent-encoded exactly once, as UTF-8.")
	}
}

// checkChannels notes channels that would not reach the user. Each is given once,
// so there are never more than the service has.
func (s *Service) checkChannels(req Request, faults *problem.Faults) {
	for i, c := range req.Channels {
		needed, given := "phone", req.Phone
		if c == string(notify.Email) {
			needed, given = "email", req.Email
		}
		switch {
		case !slices.Contains(s.Channels, c):
			faults.Add("channels", "This service sends over: %s.", strings.Join(s.Channels, ", "))
			return
		case slices.Contains(req.Channels[:i], c):
			faults.Add("channels", "The channel %s is given twice.", c)
			return
		case given == "":
			faults.Add("channels", "The channel %s needs the field %s.", c, needed)
		}
	}
}
