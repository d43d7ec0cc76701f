package config

import "time"

// SignIn is the operator's rules of sign-in.
type SignIn struct {
	// Session is how long a browser stays signed in, in whole seconds. 0: it does not.
	Session time.Duration
	// StaleAddress is after how long without use an address alone does not sign in to an
	// account that has another factor, in whole seconds.
	StaleAddress time.Duration
	// SignUp is true if a new person can make an account.
	SignUp bool
	// RememberDevice is how long a device is remembered, in whole seconds. 0: none is.
	RememberDevice time.Duration
}

// signIn reads the settings of sign-in.
func (e environment) signIn(faults *Faults) SignIn {
	const day = 24 * time.Hour
	s := SignIn{
		Session:      duration(faults, "TWOFA_SESSION", e.Session, time.Hour, 0, 30*day),
		StaleAddress: duration(faults, "TWOFA_STALE_ADDRESS", e.StaleAddress, 90*day, day, 5*365*day),
		SignUp:       e.SignUp == "open", RememberDevice: duration(faults, "TWOFA_REMEMBER_DEVICE", e.RememberDevice, 0, 0, 90*day),
	}
	if e.SignUp != "" && e.SignUp != "open" && e.SignUp != "closed" {
		faults.add("TWOFA_SIGNUP", "has to be open or closed")
	}
	return s
}
