package reqlog_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/reqlog"
)

// wantLine checks the attributes of a line.
func wantLine(t *testing.T, line *reqlog.Line, want string) {
	t.Helper()
	if got := fmt.Sprint(line.Attrs()); got != want {
		t.Errorf("line %s, want %s", got, want)
	}
}

func TestAdd_ALaterAttributeReplacesAnEarlierOneOfItsKey(t *testing.T) {
	ctx, line := reqlog.With(context.Background())
	reqlog.Add(ctx, slog.String("a", "1"), slog.String("b", "2"))
	reqlog.Add(ctx, slog.String("a", "3"), slog.String("c", "4"))
	wantLine(t, line, "[a=3 b=2 c=4]")
}

func TestAttrs_DoNotChangeLater(t *testing.T) {
	ctx, line := reqlog.With(context.Background())
	reqlog.Add(ctx, slog.Int("n", 1))
	read := line.Attrs()
	reqlog.Add(ctx, slog.Int("n", 2))
	if got := fmt.Sprint(read); got != "[n=1]" {
		t.Errorf("line %s", got)
	}
}

func TestWith_LinesOfTwoRequestsAreSeparate(t *testing.T) {
	first, line1 := reqlog.With(context.Background())
	second, line2 := reqlog.With(first)
	reqlog.Add(first, slog.Int("n", 1))
	reqlog.Add(second, slog.Int("n", 2))
	wantLine(t, line1, "[n=1]")
	wantLine(t, line2, "[n=2]")
}

// The hourly purge and tests call the use cases without a line.
func TestAdd_DoesNothingWithoutALine(t *testing.T) {
	reqlog.Add(context.Background(), slog.Int("n", 1))
	reqlog.Verification(context.Background(), otp.Recipient{}, otp.Verification{ID: "VE"})
}

func TestVerification_IsLoggedMaskedAndWithoutItsSecrets(t *testing.T) {
	const id = "VE0123456789abcdef0123456789abcdef"
	for _, tc := range []struct {
		name, address string
		v             otp.Verification
		want          string
	}{
		{"a number", "+14155550123", otp.Verification{
			ID: id, Purpose: "login", Workflow: []channel.Channel{"sms", "whatsapp"}, Status: otp.Pending,
			Attempts: []otp.Attempt{{Channel: "sms", Status: otp.Failed}, {Channel: "whatsapp", Status: otp.Queued}},
			User:     "u0123456789abcdef", Other: "alice@example.com", TestCode: "424242",
			Transaction: otp.Transaction{Amount: "EUR 25.00", Payee: "Acme"}, Nonce: [16]byte{1}, CreatedAt: time.Unix(1, 0),
		}, "[country=US to=+1******0123 purpose=login channel=whatsapp verification=" + id + " state=pending]"},
		{"an e-mail address, without a country", "alice@example.com", otp.Verification{
			ID: id, Workflow: []channel.Channel{"email"}, Status: otp.Denied,
		}, "[to=a******@example.com channel=email verification=" + id + " state=denied]"},
		{"not found", "+14155550123", otp.Verification{}, "[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, line := reqlog.With(context.Background())
			reqlog.Verification(ctx, otp.Recipient{Address: tc.address}, tc.v)
			wantLine(t, line, tc.want)
		})
	}
}

func TestLine_MayBeWrittenFromSeveralGoroutines(t *testing.T) {
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

// A purpose is a label. Digits in it may be a code or a part of a number.
func TestPurpose_WithFourDigitsInARowIsNotLogged(t *testing.T) {
	t.Parallel()
	for purpose, want := range map[string]string{
		"login": "[purpose=login]", "step-2": "[purpose=step-2]", "v123-456": "[purpose=v123-456]",
		"pay-1234": "[]", "4155550123": "[]", "1234x": "[]", "": "[]",
	} {
		ctx, line := reqlog.With(context.Background())
		reqlog.Purpose(ctx, purpose)
		wantLine(t, line, want)
	}
}

func TestSent_AddsTheTimesOfAllMessages(t *testing.T) {
	t.Parallel()
	ctx, line := reqlog.With(context.Background())
	reqlog.Sent(ctx, "twilio", 1500*time.Millisecond)
	wantLine(t, line, "[provider=twilio provider_ms=1500]")
	reqlog.Sent(ctx, "smtp", 1250*time.Microsecond)
	wantLine(t, line, "[provider=smtp provider_ms=1501.25]")
	reqlog.Sent(ctx, "", time.Second)
	wantLine(t, line, "[provider=smtp provider_ms=2501.25]")
	reqlog.Sent(context.Background(), "twilio", time.Second) // does nothing
}

func TestRequest_IsTheRequestAndItsClientAlone(t *testing.T) {
	t.Parallel()
	ctx, _ := reqlog.With(context.Background())
	reqlog.Add(ctx, slog.String("request_id", "1"), slog.String("function", "otpsend"), slog.String("client", "bank-web"))
	if got := fmt.Sprint(reqlog.Request(ctx)); got != "[request_id=1 client=bank-web]" {
		t.Errorf("origin %s", got)
	}
	if got := reqlog.Request(context.Background()); got != nil {
		t.Errorf("origin %v without a line", got)
	}
}
