package totp

// CodeAt lets tests compare single steps with other implementations.
func (a Authenticator) CodeAt(step int64) (string, error) { return a.codeAt(step) }
