package email

import (
	"testing"

	"twofa/internal/address"
	"twofa/internal/notify"
	"twofa/internal/testing/smtptest"
)

// A mail to any spelling of an address arrives at the one form of it.
func TestAMailToAnAddressWithDotsArrives(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"a..b@docomo.ne.jp", `"a..b"@docomo.ne.jp`, "ab.@ezweb.ne.jp", ".ab@docomo.ne.jp", "a.-.b_..@ezweb.ne.jp", `"A.-.b_.."@ezweb.ne.jp`, "...a@docomo.ne.jp", `"name"@example.com`, "-a..@docomo.ne.jp",
	} {
		a, err := address.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		r := newRig(t, smtptest.Options{Security: smtptest.Plain}, nil)
		m := notify.Message{To: a.Text, Code: code, Brand: "Acme", ValidFor: message().ValidFor}
		if err := r.Send(t.Context(), m); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if mails := r.Mails(); len(mails) != 1 || mails[0].To != a.Text {
			t.Errorf("%s: the server has %+v", text, mails)
		}
	}
}
