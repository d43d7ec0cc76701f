package rig

import (
	"errors"
	"math/rand/v2"
	"sync"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/otpsend"
	"twofa/otpverify"
)

// Start starts a verification as a client does, without an idempotency key.
func (r *Rig) Start(req otpsend.Request) (otpsend.Answer, error) {
	a, replayed, err := r.Send.Start(r.Ctx(), req, "")
	if replayed {
		r.TB.Errorf("a start without an idempotency key is a repetition: %+v", a)
	}
	return a, err
}

// MustStart is Start, and ends the test if the start is refused.
func (r *Rig) MustStart(req otpsend.Request) otpsend.Answer {
	r.TB.Helper()
	a, err := r.Start(req)
	r.must(err)
	return a
}

// StartInbound starts a verification by the person's own message. It returns the
// text that the person is asked to send, whose code becomes a secret of the test.
func (r *Rig) StartInbound(req otpsend.Request) (id otp.ID, text string) {
	r.TB.Helper()
	req.Channel = channel.Inbound
	a := r.MustStart(req)
	r.Code(a.ID)
	return a.ID, a.Inbound.Text
}

// RefuseStart ends the test unless a start is refused with that kind.
func (r *Rig) RefuseStart(req otpsend.Request, kind problem.Kind) *problem.Error {
	r.TB.Helper()
	_, err := r.Start(req)
	return r.Refused(err, kind)
}

// Resend sends a code again as a client does, without an idempotency key.
func (r *Rig) Resend(id otp.ID, c channel.Channel) (otpsend.Answer, error) {
	a, _, err := r.Send.Resend(r.Ctx(), string(id), otpsend.ResendRequest{Channel: c}, "")
	return a, err
}

// MustResend is Resend, and ends the test if the resend is refused.
func (r *Rig) MustResend(id otp.ID, c channel.Channel) otpsend.Answer {
	r.TB.Helper()
	a, err := r.Resend(id, c)
	r.must(err)
	return a
}

// RefuseResend ends the test unless a resend is refused with that kind.
func (r *Rig) RefuseResend(id otp.ID, c channel.Channel, kind problem.Kind) *problem.Error {
	r.TB.Helper()
	_, err := r.Resend(id, c)
	return r.Refused(err, kind)
}

// MustCancel ends a verification as a client does.
func (r *Rig) MustCancel(id otp.ID) {
	r.TB.Helper()
	_, err := r.Send.Cancel(r.Ctx(), string(id))
	r.must(err)
}

// Status looks a verification up as a client does.
func (r *Rig) Status(id otp.ID) otpsend.Answer {
	r.TB.Helper()
	a, err := r.Send.Status(r.Ctx(), string(id))
	r.must(err)
	return a
}

// ByID is the check of a code by the verification's id alone.
func ByID(id otp.ID, code string) otpverify.Request {
	return otpverify.Request{ID: string(id), Code: code}
}

// Check checks a code as a client does. It fails the test if there is an answer
// beside an error.
func (r *Rig) Check(req otpverify.Request) (otpverify.Answer, error) {
	r.TB.Helper()
	a, err := r.Verify.Check(r.Ctx(), req)
	if err != nil && a != (otpverify.Answer{}) {
		r.TB.Errorf("an answer beside the error %v: %+v", err, a)
	}
	return a, err
}

// Approve ends the test unless the code of a check is approved.
func (r *Rig) Approve(req otpverify.Request) otpverify.Answer {
	r.TB.Helper()
	a, err := r.Check(req)
	if err != nil || a.Status != otp.Approved {
		r.TB.Fatalf("not approved: %+v %v", a, err)
	}
	return a
}

// RefuseCheck ends the test unless a check is refused with that kind.
func (r *Rig) RefuseCheck(req otpverify.Request, kind problem.Kind) *problem.Error {
	r.TB.Helper()
	_, err := r.Check(req)
	return r.Refused(err, kind)
}

// Report reports on a message as the provider does. The failure is nil unless the
// status is otp.Failed.
func (r *Rig) Report(id otp.ID, attempt int, status otp.DeliveryStatus, f *notify.Failure) error {
	return r.Delivery.Report(r.Ctx(), notify.Report{Verification: id, Attempt: attempt, Status: status, Failure: f})
}

// MustReport is Report, and ends the test on an error.
func (r *Rig) MustReport(id otp.ID, attempt int, status otp.DeliveryStatus, f *notify.Failure) {
	r.TB.Helper()
	r.must(r.Report(id, attempt, status, f))
}

// Receive hands over a person's message as the provider does, and returns the
// reply.
func (r *Rig) Receive(m notify.Inbound) string {
	r.TB.Helper()
	reply, err := r.Inbox.Receive(r.Ctx(), m)
	r.must(err)
	return reply
}

func (r *Rig) must(err error) {
	r.TB.Helper()
	if err != nil {
		r.TB.Fatal(err)
	}
}

// AtOnce runs the jobs at the same time, begun in random order.
func AtOnce(jobs ...func()) {
	rand.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for _, job := range jobs {
		wg.Go(func() {
			<-begin
			job()
		})
	}
	close(begin)
	wg.Wait()
}

// Times returns n jobs that call job, each with its number from 0.
func Times(n int, job func(i int)) []func() {
	jobs := make([]func(), n)
	for i := range jobs {
		jobs[i] = func() { job(i) }
	}
	return jobs
}

// ChecksAtOnce makes n checks at the same time, and counts the kinds of their
// errors: "" for an approval. Each refusal is given to the functions.
func (r *Rig) ChecksAtOnce(n int, request func(i int) otpverify.Request, each ...func(*problem.Error)) map[problem.Kind]int {
	r.TB.Helper()
	kinds := make([]problem.Kind, n)
	AtOnce(Times(n, func(i int) {
		_, err := r.Check(request(i))
		r.note(err)
		if e, ok := errors.AsType[*problem.Error](err); ok {
			kinds[i] = e.Kind
			for _, f := range each {
				f(e)
			}
		} else if err != nil {
			r.TB.Errorf("an error of no kind: %v", err)
		}
	})...)
	counts := make(map[problem.Kind]int)
	for _, kind := range kinds {
		counts[kind]++
	}
	return counts
}
