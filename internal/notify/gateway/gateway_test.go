package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/notifytest"
)

// What a try may lead to. The tests of the providers' packages do the same over HTTP.
var (
	accepted = Outcome{}
	refused  = Outcome{Failure: &notify.Failure{Outcome: otp.OutcomeRefused}}
	busy     = Outcome{Failure: &notify.Failure{Outcome: otp.OutcomeUnavailable, Detail: "busy"}, Again: true}
	unclear  = Outcome{Failure: &notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true, Detail: "unclear"}, Again: true}
	final    = Outcome{Failure: &notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true, Detail: "final"}}
)

func sending() Sending {
	return Sending{Provider: "test", Channel: "sms", Timeout: DefaultTimeout, Total: DefaultTotal, Log: slog.New(slog.DiscardHandler)}
}

// script returns a try that leads to one outcome after the other, and the count of tries.
func script(outcomes []Outcome) (try func(context.Context) Outcome, tries *int) {
	tries = new(int)
	return func(context.Context) Outcome {
		o := outcomes[*tries]
		*tries++
		if o.Failure != nil {
			o.Failure = new(*o.Failure)
		}
		return o
	}, tries
}

func TestTries(t *testing.T) {
	for name, tc := range map[string]struct {
		outcomes    []Outcome
		tries       int
		mayHaveSent bool
		detail      string // "-": accepted
	}{
		"accepted":                    {[]Outcome{accepted, refused}, 1, false, "-"},
		"refused":                     {[]Outcome{refused, accepted}, 1, false, ""},
		"busy, then accepted":         {[]Outcome{busy, accepted}, 2, false, "-"},
		"busy twice":                  {[]Outcome{busy, busy, accepted}, 3, false, "-"},
		"busy always":                 {[]Outcome{busy, busy, busy, accepted}, 3, false, "busy"},
		"unclear, then accepted":      {[]Outcome{unclear, accepted}, 2, false, "-"},
		"unclear twice":               {[]Outcome{unclear, unclear, accepted}, 2, true, "unclear"},
		"unclear, then busy":          {[]Outcome{unclear, busy, accepted}, 2, true, "busy"},
		"unclear, then refused":       {[]Outcome{unclear, refused, accepted}, 2, true, ""},
		"busy, then unclear":          {[]Outcome{busy, unclear, accepted}, 3, false, "-"},
		"busy, then unclear twice":    {[]Outcome{busy, unclear, unclear, accepted}, 3, true, "unclear"},
		"unclear and not to be tried": {[]Outcome{final, accepted}, 1, true, "final"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				try, tries := script(tc.outcomes)
				err := sending().Send(t.Context(), try)
				if *tries != tc.tries || (err == nil) != (tc.detail == "-") {
					t.Fatalf("%d tries, %v", *tries, err)
				}
				if err == nil {
					return
				}
				if f := notifytest.Failure(t, err); f.MayHaveSent != tc.mayHaveSent || f.Detail != tc.detail {
					t.Errorf("got %+v", f)
				}
			})
		})
	}
}

// If the provider recognizes a repetition, an ambiguous failure does not end the tries. It
// still counts, because a later refusal may come from before the provider's memory.
func TestTriesOfRepeatableCalls(t *testing.T) {
	for name, tc := range map[string]struct {
		outcomes    []Outcome
		tries       int
		mayHaveSent bool
		detail      string // "-": accepted
	}{
		"unclear twice, then accepted": {[]Outcome{unclear, unclear, accepted}, 3, false, "-"},
		"unclear always":               {[]Outcome{unclear, unclear, unclear, accepted}, 3, true, "unclear"},
		"unclear, then busy twice":     {[]Outcome{unclear, busy, busy, accepted}, 3, true, "busy"},
		"unclear, then refused":        {[]Outcome{unclear, refused, accepted}, 2, true, ""},
		"unclear and not to be tried":  {[]Outcome{final, accepted}, 1, true, "final"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sending()
				s.Repeatable = true
				try, tries := script(tc.outcomes)
				err := s.Send(t.Context(), try)
				if *tries != tc.tries || (err == nil) != (tc.detail == "-") {
					t.Fatalf("%d tries, %v", *tries, err)
				}
				if err == nil {
					return
				}
				if f := notifytest.Failure(t, err); f.MayHaveSent != tc.mayHaveSent || f.Detail != tc.detail {
					t.Errorf("got %+v", f)
				}
			})
		})
	}
}

func TestRefuse(t *testing.T) {
	const to = "+14155550123"
	invalid := &notify.Failure{Outcome: otp.OutcomeInvalidAddress, Next: otp.NextAddress, Detail: "the number is not in E.164"}
	hidden := &notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: "T", Detail: "the template cannot show amount and payee"}
	for name, tc := range map[string]struct {
		m     notify.Message
		shows bool
		want  *notify.Failure
	}{
		"a code":                     {notify.Message{To: to, Code: "1"}, false, nil},
		"an alert":                   {notify.Message{To: to, Alert: true}, false, nil},
		"a payment that is shown":    {notify.Message{To: to, Code: "1", Amount: "1"}, true, nil},
		"an amount that is not":      {notify.Message{To: to, Code: "1", Amount: "1"}, false, hidden},
		"a payee that is not":        {notify.Message{To: to, Code: "1", Payee: "p"}, false, hidden},
		"no number":                  {notify.Message{Code: "1"}, true, invalid},
		"an alert to an address":     {notify.Message{To: "a@b.test", Alert: true}, true, invalid},
		"an alert with a code":       {notify.Message{To: to, Alert: true, Code: "1"}, true, &notify.Failure{Outcome: otp.OutcomeUnavailable, Detail: "an alert has no code"}},
		"a number with other digits": {notify.Message{To: "+१४१५५५५०१२३", Code: "1"}, true, invalid},
	} {
		got := Refuse(tc.m, tc.shows, "T")
		if (got == nil) != (tc.want == nil) || got != nil && *got != *tc.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// The pauses double, are random, and are at least as long as the provider asks for.
func TestPauses(t *testing.T) {
	for try := 1; try < MaxTries; try++ {
		full := FirstPause << (try - 1)
		seen := make(map[time.Duration]bool)
		for range 100 {
			pause := pauseAfter(try, 0)
			if pause < full/2 || pause >= full {
				t.Errorf("try %d: %v", try, pause)
			}
			seen[pause] = true
		}
		if len(seen) < 50 {
			t.Errorf("try %d: only %d different pauses", try, len(seen))
		}
		if got := pauseAfter(try, time.Minute); got != time.Minute {
			t.Errorf("try %d: %v instead of a minute", try, got)
		}
	}
}

// Nothing is tried that could not end in time.
func TestTimeLeft(t *testing.T) {
	asking := func(pause time.Duration) Outcome {
		return Outcome{Failure: &notify.Failure{RetryAfter: pause}, Again: true}
	}
	for name, tc := range map[string]struct {
		pause, context, latest time.Duration // 0: none
		tries                  int
	}{
		"plenty":                          {time.Second, 0, 0, 2},
		"just enough":                     {DefaultTotal - DefaultTimeout/2, 0, 0, 2},
		"too little":                      {DefaultTotal - DefaultTimeout/2 + 1, 0, 0, 1},
		"just enough of the caller's":     {time.Second, time.Second + DefaultTimeout/2, 0, 2},
		"too little of the caller's":      {time.Second, time.Second + DefaultTimeout/2 - 1, 0, 1},
		"the last try may begin just now": {time.Second, 0, time.Second, 2},
		"it would begin too late":         {time.Second, 0, time.Second - 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, s := t.Context(), sending()
				if tc.context > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.context)
					defer cancel()
				}
				if tc.latest > 0 {
					s.Latest = time.Now().Add(tc.latest)
				}
				try, tries := script([]Outcome{asking(tc.pause), accepted})
				if err := s.Send(ctx, try); *tries != tc.tries || (err == nil) != (tc.tries == 2) {
					t.Errorf("%d tries, %v", *tries, err)
				}
			})
		})
	}
}

// The context of a try ends after Timeout, and Send with its own context.
func TestContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		err := sending().Send(t.Context(), func(ctx context.Context) Outcome {
			tries++
			<-ctx.Done()
			return Exchange{Err: ctx.Err()}.Outcome()
		})
		if took := time.Since(began); tries != 2 || took < 2*DefaultTimeout+FirstPause/2 || took > 2*DefaultTimeout+FirstPause || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d tries in %v, %v", tries, took, err)
		}

		ended, end := context.WithCancel(t.Context())
		try, count := script([]Outcome{busy, accepted})
		time.AfterFunc(FirstPause/4, end)
		err = sending().Send(ended, try)
		if f := notifytest.Failure(t, err); *count != 1 || f.Detail != "busy" || !errors.Is(err, context.Canceled) {
			t.Errorf("ended in the pause: %d tries, %v", *count, err)
		}
		try, count = script([]Outcome{accepted})
		err = sending().Send(ended, try)
		if f := notifytest.Failure(t, err); *count != 0 || f.MayHaveSent || !errors.Is(err, context.Canceled) {
			t.Errorf("ended before: %d tries, %v", *count, err)
		}
	})
}

func TestALineForEachRepetition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := sending()
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
		asks := Outcome{Failure: &notify.Failure{Outcome: otp.OutcomeUnavailable, Code: 7, Word: "w", Detail: "busy", RetryAfter: 2 * time.Second}, Again: true}
		try, _ := script([]Outcome{asks, accepted})
		if err := s.Send(t.Context(), try); err != nil {
			t.Fatal(err)
		}
		want := `level=WARN msg="test: trying again" channel=sms try=1 reason=unavailable provider_error=7 provider_word=w detail=busy pause_ms=2000` + "\n"
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, want) {
			t.Errorf("logged %s\nwant %s", got, want)
		}
	})
}
