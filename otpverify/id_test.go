package otpverify_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

// uses are all uses of an id by a client or a provider.
var uses = map[string]func(r *rig.Rig, id otp.ID) error{
	"look-up": func(r *rig.Rig, id otp.ID) error {
		_, err := r.Send.Status(r.Ctx(), string(id))
		return err
	},
	"resend": func(r *rig.Rig, id otp.ID) error {
		_, _, err := r.Send.Resend(r.Ctx(), string(id), otpsend.ResendRequest{}, "")
		return err
	},
	"resend with a key": func(r *rig.Rig, id otp.ID) error {
		_, _, err := r.Send.Resend(r.Ctx(), string(id), otpsend.ResendRequest{}, "key")
		return err
	},
	"cancel": func(r *rig.Rig, id otp.ID) error {
		_, err := r.Send.Cancel(r.Ctx(), string(id))
		return err
	},
	"check": func(r *rig.Rig, id otp.ID) error {
		_, err := r.Check(rig.ByID(id, "ABCDEFGHJK"))
		return err
	},
	"check with an address": func(r *rig.Rig, id otp.ID) error {
		_, err := r.Check(otpverify.Request{ID: string(id), To: alice, Code: "ABCDEFGHJK"})
		return err
	},
	"fetch of an approval": func(r *rig.Rig, id otp.ID) error {
		_, err := r.Check(rig.ByID(id, ""))
		return err
	},
}

// answerTo returns what a use of an id is answered, and its round trips.
func answerTo(r *rig.Rig, use func(*rig.Rig, otp.ID) error, id otp.ID) (e problem.Error, trips int) {
	r.TB.Helper()
	r.Table.Break(nil)
	err := use(r, id)
	refused, ok := errors.AsType[*problem.Error](err)
	if !ok {
		r.TB.Fatalf("%s: %v", id, err)
	}
	return *refused, r.Table.Calls()
}

// R30, attack 40. Ids that are cut, extended, changed in one digit, written in capitals
// or made up are refused, and the refusal tells nothing: it is the same, after as many
// round trips, whether the id leads to a row or not, and no row changes.
func TestAttack40_AnIDThatIsNotOneTellsNothing(t *testing.T) {
	r := newRig(t)
	id := r.MustStart(toAlice).ID
	other := &recipient.Store{Table: r.Table, Keys: fixture.Keys(t, 50)}
	aliceKey, bobKey := r.Recipients.Key(alice), r.Recipients.Key(bob)
	formerOf := func(key otp.RowKey) otp.ID { return otp.ID("VE" + string(key) + "0123456789abcdef") }

	unknown := map[string]otp.ID{
		"made up":                             "VE0123456789abcdeffedcba9876543210",
		"only zeros":                          otp.ID("VE" + strings.Repeat("0", 32)),
		"of a row that exists":                r.Recipients.NewID(aliceKey, [8]byte{1}),
		"of a row that exists, former form":   formerOf(aliceKey),
		"of a row that does not exist":        r.Recipients.NewID(bobKey, [8]byte{1}),
		"of no row, former form":              formerOf(bobKey),
		"of the row in another deployment":    other.NewID(aliceKey, [8]byte{1}),
		"of the address in another one":       other.NewID(other.Key(alice), [8]byte{1}),
		"halves exchanged":                    "VE" + id[18:] + id[2:18],
		"backwards":                           "VE" + reversed(id[2:]),
		"the first half of a row that exists": id[:18] + "0123456789abcdef",
	}
	for i := len("VE"); i < len(id); i++ {
		digit := byte('0')
		if id[i] == '0' {
			digit = '1'
		}
		unknown[fmt.Sprintf("digit %d changed", i-1)] = id[:i] + otp.ID(digit) + id[i+1:]
	}
	malformed := map[string]otp.ID{
		"empty but for VE": "VE", "cut by a digit": id[:len(id)-1], "cut in half": id[:18], "cut at its beginning": id[1:],
		"extended": id + "0", "doubled": id + id[2:], "in capitals": otp.ID(strings.ToUpper(string(id))),
		"ve": "ve" + id[2:], "a space": id + " ", "a wildcard": id[:len(id)-1] + "*", "a path": id + "/.",
	}
	before := r.Recipient(alice)
	for what, use := range uses {
		want, wantTrips := answerTo(r, use, unknown["made up"])
		if want.Kind != problem.NotFound || wantTrips != 2 || want.ID != "" {
			t.Errorf("%s: %+v after %d round trips", what, want, wantTrips)
		}
		for name, id := range unknown {
			if got, trips := answerTo(r, use, id); !reflect.DeepEqual(got, want) || trips != wantTrips {
				t.Errorf("%s of an id %s: %+v after %d round trips, want %+v after %d", what, name, got, trips, want, wantTrips)
			}
		}
		for name, id := range malformed {
			if got, trips := answerTo(r, use, id); got.Kind != problem.InvalidRequest || trips != 0 || len(got.Fields) != 1 || got.Fields[0].Name != "id" {
				t.Errorf("%s of an id %s: %+v after %d round trips", what, name, got, trips)
			}
		}
	}
	for name, id := range unknown { // a signed report of the provider
		r.Table.Break(nil)
		if e := r.Refused(r.Report(id, 1, otp.Failed, undeliverable), problem.NotFound); r.Table.Calls() != 2 || e.ID != "" {
			t.Errorf("a report on an id %s: %+v after %d round trips", name, e, r.Table.Calls())
		}
	}
	if r.Sent() != 1 || !reflect.DeepEqual(r.Recipient(alice), before) || r.Recipient(bob).Address != "" {
		t.Errorf("%d messages; the row was %+v and is %+v", r.Sent(), before, r.Recipient(alice))
	}
	r.Approve(rig.ByID(id, r.Code(id)))
}

func reversed(id otp.ID) otp.ID {
	b := []byte(id)
	for i := range len(b) / 2 {
		b[i], b[len(b)-1-i] = b[len(b)-1-i], b[i]
	}
	return otp.ID(b)
}

// R30. The log line of a start, the answer and the message that leads to the callback
// have the same opaque id, without the row's key.
func TestR30_NoAnswerAndNoMessageHasTheRowsKey(t *testing.T) {
	r := newRig(t)
	key := string(r.Recipients.Key(alice))
	var earlier otp.ID
	for range 5 {
		a := r.MustStart(toAlice)
		m := r.Sender(channel.WhatsApp).Sent()
		last := m[len(m)-1]
		if last.Verification != a.ID || strings.Contains(fmt.Sprintf("%+v %+v", a, last), key) || strings.HasPrefix(string(a.ID), string(earlier[:min(len(earlier), 12)])) && earlier != "" {
			t.Errorf("the key of the row is %s; the ids are %s, %s and before %s", key, a.ID, last.Verification, earlier)
		}
		earlier = a.ID
	}
}

// R30. An id of the former form, in a row of the release before, works in every use
// until the verification has ended. Each use costs one more round trip.
func TestR30_IDsOfTheReleaseBeforeWork(t *testing.T) {
	begin := func(t *testing.T) (*rig.Rig, otp.ID) {
		t.Helper()
		r := newRig(t, channel.WhatsApp, channel.SMS)
		id := r.Formerly(r.MustStart(toAlice).ID)
		if !strings.HasPrefix(string(id), "VE"+string(r.Recipients.Key(alice))) {
			t.Fatalf("%s does not have the former form", id)
		}
		r.Table.Break(nil)
		return r, id
	}
	trips := func(r *rig.Rig, what string, want int) {
		r.TB.Helper()
		if got := r.Table.Calls(); got != want {
			r.TB.Errorf("%s: %d calls of the table, want %d", what, got, want)
		}
		r.Table.Break(nil)
	}
	t.Run("from the start to the approval", func(t *testing.T) {
		r, id := begin(t)
		if a := r.Status(id); a.ID != id || a.Status != otp.Pending {
			t.Errorf("%+v", a)
		}
		trips(r, "a look-up", 2)
		r.MustReport(id, 1, otp.Delivered, nil)
		trips(r, "a report", 2)
		if a := r.MustResend(id, ""); a.ID != id {
			t.Errorf("%+v", a)
		}
		trips(r, "a resend", 2)
		if e := r.RefuseCheck(rig.ByID(id, r.Wrong(id)), problem.WrongCode); *e.ChecksLeft != 4 {
			t.Errorf("%+v", e)
		}
		trips(r, "a wrong code", 2)
		if a := r.Approve(rig.ByID(id, r.Code(id))); a.ID != id {
			t.Errorf("%+v", a)
		}
		trips(r, "a right code", 2)
		r.RefuseCheck(rig.ByID(id, r.Code(id)), problem.AlreadyUsed)
	})
	t.Run("canceled", func(t *testing.T) {
		r, id := begin(t)
		r.MustCancel(id)
		trips(r, "a cancellation", 2)
		r.RefuseCheck(rig.ByID(id, r.Code(id)), problem.Canceled)
	})
	t.Run("a failure is followed", func(t *testing.T) {
		r, id := begin(t)
		r.MustReport(id, 1, otp.Failed, undeliverable)
		if sent := r.Sender(channel.SMS).Sent(); len(sent) != 1 || sent[0].Verification != id {
			t.Errorf("%+v", sent)
		}
	})
	t.Run("five wrong codes", func(t *testing.T) {
		r, id := begin(t)
		for range 5 {
			r.RefuseCheck(rig.ByID(id, r.Wrong(id)), problem.WrongCode)
		}
		r.RefuseCheck(rig.ByID(id, r.Code(id)), problem.TooManyChecks)
	})
	t.Run("inbound", func(t *testing.T) {
		r := newRig(t)
		id, _ := r.StartInbound(toAlice)
		id = r.Formerly(id)
		r.RefuseCheck(rig.ByID(id, ""), problem.NotYetApproved)
		receive(r, alice, r.Code(id))
		r.Approve(rig.ByID(id, ""))
	})
	t.Run("the outcome of a resend is remembered", func(t *testing.T) {
		r, id := begin(t)
		r.Sender(channel.WhatsApp).Always(unclear)
		resend := func() (problem.Error, bool) {
			t.Helper()
			_, replayed, err := r.Send.Resend(r.Ctx(), string(id), otpsend.ResendRequest{}, "key")
			return *r.Refused(err, problem.ProviderUnavailable), replayed
		}
		first, replayed := resend()
		again, replayedAgain := resend()
		if replayed || !replayedAgain || first.Detail != again.Detail || r.Sent() != 2 {
			t.Errorf("%+v %t, then %+v %t, %d messages", first, replayed, again, replayedAgain, r.Sent())
		}
	})
}

// The answer to a resend is repeated for a day, even if newer verifications have
// displaced the resent one.
func TestAResendIsRepeatedAfterItsVerificationIsForgotten(t *testing.T) {
	for name, former := range map[string]bool{"an id": false, "a former id": true} {
		r := newRig(t)
		r.Policy(func(p *otp.Policy) { p.MaxSends = 100 })
		id := r.MustStart(toAlice).ID
		if former {
			id = r.Formerly(id)
		}
		resend := func() (otpsend.Answer, bool) {
			a, replayed, err := r.Send.Resend(r.Ctx(), string(id), otpsend.ResendRequest{}, "key")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return a, replayed
		}
		first, _ := resend()
		for range 9 {
			r.MustStart(toAlice)
		}
		_, err := r.Send.Status(r.Ctx(), string(id))
		r.Refused(err, problem.NotFound)
		if again, replayed := resend(); !replayed || again.ID != first.ID || r.Sent() != 11 {
			t.Errorf("%s: %+v, a repetition %t, %d messages", name, again, replayed, r.Sent())
		}
	}
}

// Ids, and the codes that are derived from them, survive a rotation and the retirement
// of the secret that keys the index.
func TestR30_IDsSurviveARotation(t *testing.T) {
	for name, setting := range map[string]string{
		"rotated": fixture.Secret(50, 1), "rotated twice": fixture.Secret(100, 50, 1),
	} {
		r := newRig(t)
		id := r.MustStart(toAlice).ID
		code := r.Code(id)
		r.Rotate(setting)
		r.Table.Break(nil)
		if a := r.Approve(rig.ByID(id, code)); a.ID != id || r.Table.Calls() != 1 {
			t.Errorf("%s: %+v after %d calls of the table", name, a, r.Table.Calls())
		}
	}
	r := newRig(t)
	id := r.MustStart(toAlice).ID
	r.Rotate(fixture.Secret(50))
	_, err := r.Send.Status(r.Ctx(), string(id))
	r.Refused(err, problem.NotFound) // under another secret the row is not found
}
