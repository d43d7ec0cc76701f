package reqlog_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/reqlog"
)

func TestLaterAttributesReplaceEarlierOnesOfTheirKey(t *testing.T) {
	ctx, line := reqlog.With(context.Background())
	reqlog.Add(ctx, slog.String("a", "1"), slog.String("b", "2"))
	reqlog.Add(ctx, slog.String("a", "3"), slog.String("c", "4"))
	if got := fmt.Sprint(line.Attrs()); got != "[a=3 b=2 c=4]" {
		t.Errorf("line %s", got)
	}
}

func TestWhatWasReadDoesNotChangeLater(t *testing.T) {
	ctx, line := reqlog.With(context.Background())
	reqlog.Add(ctx, slog.Int("n", 1))
	read := line.Attrs()
	reqlog.Add(ctx, slog.Int("n", 2))
	if got := fmt.Sprint(read); got != "[n=1]" {
		t.Errorf("line %s", got)
	}
}

func TestLinesOfTwoRequestsStayApart(t *testing.T) {
	first, line1 := reqlog.With(context.Background())
	second, line2 := reqlog.With(first)
	reqlog.Add(first, slog.Int("n", 1))
	reqlog.Add(second, slog.Int("n", 2))
	if got := fmt.Sprint(line1.Attrs(), line2.Attrs()); got != "[n=1] [n=2]" {
		t.Errorf("lines %s", got)
	}
}

// The use cases are called without a line too: by the hourly sweep, by tests.
func TestWithoutALineNothingHappens(t *testing.T) {
	reqlog.Add(context.Background(), slog.Int("n", 1))
	reqlog.Verification(context.Background(), otp.Recipient{}, otp.Verification{ID: "VE"})
}

func TestAVerificationIsToldWithoutItsSecrets(t *testing.T) {
	ctx, line := reqlog.With(context.Background())
	reqlog.Verification(ctx, otp.Recipient{Address: "+14155550123"}, otp.Verification{
		ID: "VE0123456789abcdef0123456789abcdef", Purpose: "login", Workflow: []string{"sms", "whatsapp"}, Status: otp.Pending,
		Attempts: []otp.Attempt{{Channel: "sms", Status: otp.Failed}, {Channel: "whatsapp", Status: otp.Queued}},
		User:     "u0123456789abcdef", Other: "alice@example.com", TestCode: "424242",
		Context: otp.Context{Amount: "EUR 25.00", Payee: "Acme"}, Nonce: [16]byte{1}, CreatedAt: time.Unix(1, 0),
	})
	if got := fmt.Sprint(line.Attrs()); got != "[country=US to=+1******0123 channel=whatsapp verification=VE0123456789abcdef0123456789abcdef state=pending]" {
		t.Errorf("line %s", got)
	}
}

func TestAnEmailAddressIsToldMaskedAndWithoutACountry(t *testing.T) {
	ctx, line := reqlog.With(context.Background())
	reqlog.Verification(ctx, otp.Recipient{Address: "alice@example.com"}, otp.Verification{
		ID: "VE0123456789abcdef0123456789abcdef", Workflow: []string{"email"}, Status: otp.Denied,
	})
	if got := fmt.Sprint(line.Attrs()); got != "[to=a******@example.com channel=email verification=VE0123456789abcdef0123456789abcdef state=denied]" {
		t.Errorf("line %s", got)
	}
}

func TestAVerificationThatWasNotFoundAddsNothing(t *testing.T) {
	ctx, line := reqlog.With(context.Background())
	reqlog.Verification(ctx, otp.Recipient{Address: "+14155550123"}, otp.Verification{})
	if got := line.Attrs(); len(got) != 0 {
		t.Errorf("line %v", got)
	}
}

func TestALineMayBeWrittenFromSeveralGoroutines(t *testing.T) {
	ctx, line := reqlog.With(context.Background())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			reqlog.Add(ctx, slog.Int(fmt.Sprint("k", i), i))
			_ = line.Attrs()
		})
	}
	wg.Wait()
	if got := len(line.Attrs()); got != 20 {
		t.Errorf("%d attributes, want 20", got)
	}
}
