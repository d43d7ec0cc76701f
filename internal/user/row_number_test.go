package user_test

import (
	"testing"

	"twofa/internal/user"
)

// A user that an earlier version has stored under a line's second number has the first one
// now, and stays verified.
func TestDecode_ReadsASecondNumberAsTheFirst(t *testing.T) {
	t.Parallel()
	encoded, err := user.User{Directory: "main", Name: "alice", Phone: "+390549886377", PhoneVerified: true}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if u, err := user.Decode(encoded); err != nil || u.Phone != "+3780549886377" || !u.PhoneVerified {
		t.Errorf("got %q, verified %v, %v", u.Phone, u.PhoneVerified, err)
	}
}
