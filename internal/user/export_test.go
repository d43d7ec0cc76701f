package user

// The encodings of the factors, for tests of their layouts.
var (
	AddTOTP      = addTOTP
	ReadTOTP     = readTOTP
	AddRecovery  = addRecovery
	ReadRecovery = readRecovery
)
