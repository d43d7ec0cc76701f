package user

import (
	"slices"
	"strings"
	"time"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/locale"
	"twofa/internal/phone"
	"twofa/internal/problem"
)

// Profile is what a client app or a file says about a user, before it is checked.
type Profile struct {
	Directory            Directory
	Name                 string // as [ParseName] returns it
	Phone, Email, Locale string
	Channels             []channel.Channel
}

// Read checks all fields but the directory and the name. It returns the user that the profile describes, and the
// parsed phone number, zero if there is none. available are the channels of the
// service. The faults' fields are phone, email, locale and channels.
func (p Profile) Read(available []channel.Channel, faults *problem.Faults) (u User, number address.Address) {
	u = User{Directory: p.Directory, Name: p.Name, Channels: p.Channels}
	if p.Phone != "" {
		n, err := phone.Parse(p.Phone)
		if err != nil {
			faults.Add("phone", "%s", err)
		}
		u.Phone, number = n.E164, address.Address{Text: n.E164, Number: n}
	}
	if p.Email != "" {
		a, err := address.ParseEmail(p.Email)
		if err != nil {
			faults.Add("email", "%s", err)
		}
		u.Email = a.Text
	}
	if p.Phone == "" && p.Email == "" {
		faults.Add("phone", "Give a phone number or an e-mail address, or both: a user without either cannot be reached.")
	}
	if u.Locale, _ = locale.Read(p.Locale); u.Locale == "" && p.Locale != "" {
		faults.Add("locale", "A locale begins with a language, as a language tag (BCP 47) does: en or pt-BR.")
	}
	p.checkChannels(available, faults)
	return u, number
}

// checkChannels notes channels that could not reach the user, and a channel that
// is given twice. So a user never has more channels than the service.
func (p Profile) checkChannels(available []channel.Channel, faults *problem.Faults) {
	for i, c := range p.Channels {
		needed, given := "phone", p.Phone
		if c.NeedsEmail() {
			needed, given = "email", p.Email
		}
		switch {
		case !slices.Contains(available, c):
			var names []string
			for _, a := range available {
				names = append(names, string(a))
			}
			faults.Add("channels", "This service sends over: %s.", strings.Join(names, ", "))
			return
		case slices.Contains(p.Channels[:i], c):
			faults.Add("channels", "The channel %s is given twice.", c)
			return
		case given == "":
			faults.Add("channels", "The channel %s needs the field %s.", c, needed)
		}
	}
}

// Update returns the user (one without a name if there is none) with the profile of
// want. An address that stays remains verified; another address is not verified.
// If nothing changes, Update returns the user as it is. A new user gets what is
// kept of an erased one: see [User.Forgotten].
func (u User) Update(want User, now time.Time) User {
	if u.Name == "" {
		want.CreatedAt, want.UpdatedAt = now, now
		want.TOTP, want.Recovery, want.Changes, want.Call, want.Account = u.TOTP, u.Recovery, u.Changes, u.Call, u.Account
		return want
	}
	if want.Phone == u.Phone && want.Email == u.Email && want.Locale == u.Locale && slices.Equal(want.Channels, u.Channels) {
		return u
	}
	want.PhoneVerified = u.PhoneVerified && want.Phone == u.Phone
	want.EmailVerified = u.EmailVerified && want.Email == u.Email
	want.CreatedAt, want.UpdatedAt = u.CreatedAt, now
	want.TOTP, want.Recovery, want.Changes, want.Call, want.Account = u.TOTP, u.Recovery, u.Changes, u.Call, u.Account
	return want.Revised()
}

// Verified lists the user's verified addresses, the phone number first.
func (u User) Verified() (list []string) {
	if u.Phone != "" && u.PhoneVerified {
		list = append(list, u.Phone)
	}
	if u.Email != "" && u.EmailVerified {
		list = append(list, u.Email)
	}
	return list
}

// Addresses lists the user's addresses, the phone number first. It is never nil.
func (u User) Addresses() []string {
	return slices.DeleteFunc([]string{u.Phone, u.Email}, func(a string) bool { return a == "" })
}
