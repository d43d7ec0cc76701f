package otpsend_test

import (
	"context"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
)

const alice = rig.Alice

var noon = rig.Noon

// bench is a rig that is asked to send.
type bench struct {
	*rig.Rig
	t  *testing.T
	s  *otpsend.Service
	wa *rig.Sender
}

func newBench(t *testing.T, channels ...notify.Channel) *bench {
	t.Helper()
	b := &bench{Rig: rig.New(t, channels...), t: t}
	b.s = b.Send
	b.wa, _ = b.Carrier.Senders[notify.WhatsApp].(*rig.Sender)
	return b
}

// start is the answer to a start that has to succeed.
func (b *bench) start(req otpsend.Request) otpsend.Answer {
	b.t.Helper()
	a, replayed, err := b.s.Start(b.Ctx(), req, "")
	if err != nil || replayed {
		b.t.Fatalf("start: %v, replayed: %t", err, replayed)
	}
	return a
}

// refused is the error of a start that has to be refused so.
func (b *bench) refused(req otpsend.Request, kind problem.Kind) *problem.Error {
	b.t.Helper()
	_, _, err := b.s.Start(b.Ctx(), req, "")
	return b.Refused(err, kind)
}

// resend sends again, over the channel, a pause later.
func (b *bench) resend(id otp.ID, channel string) (otpsend.Answer, error) {
	b.t.Helper()
	b.Wait(b.Carrier.Policy.ResendAfter)
	a, _, err := b.s.Resend(b.Ctx(), string(id), otpsend.ResendRequest{Channel: channel}, "")
	return a, err
}

func (b *bench) status(id otp.ID) otpsend.Answer {
	b.t.Helper()
	a, err := b.s.Status(b.Ctx(), string(id))
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

func (b *bench) rows() int {
	b.t.Helper()
	page, err := b.Table.Table.Expired(context.Background(), noon.AddDate(9, 0, 0), "")
	if err != nil {
		b.t.Fatal(err)
	}
	return len(page.Rows)
}

// fields is the faults of a request by field, as "field: message".
func fields(e *problem.Error) string {
	var all []string
	for _, f := range e.Fields {
		all = append(all, f.Name+": "+f.Message)
	}
	return strings.Join(all, "\n")
}
