package config

import "time"

// SignIn is the operator's rules of sign-in.
type SignIn struct {
	// Session is how long a browser stays signed in, in whole seconds. 0: it does not.
	Session time.Duration
	// StaleAddress is after how long without use an address alone does not sign in to an
	// account that has another factor, in whole seconds.
	StaleAddress time.Duration
}

// signIn reads the settings of sign-in. TWOFA_SIGNUP has one value so far, and so leaves nothing
// to keep.
func (e environment) signIn(faults *Faults) SignIn {
	const day = 24 * time.Hour
	s := SignIn{
		Session:      duration(faults, "TWOFA_SESSION", e.Session, time.Hour, 0, 30*day),
		StaleAddress: duration(faults, "TWOFA_STALE_ADDRESS", e.StaleAddress, 90*day, day, 5*365*day),
	}
	if e.SignUp != "" && e.SignUp != "closed" {
		faults.add("TWOFA_SIGNUP", "has to be closed: this version has no sign-up")
	}
	return s
}
