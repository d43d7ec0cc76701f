package otpsend_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/recipient"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/otpsend"
)

const alice = "+14155550123"

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// sender keeps what it is given, and answers what the test says.
type sender struct {
	sent   []notify.Message
	answer error
	blind  bool // it cannot show a context
}

func (s *sender) Send(_ context.Context, m notify.Message) error {
	s.sent = append(s.sent, m)
	return s.answer
}

func (s *sender) ShowsContext() bool { return !s.blind }

// plainSender says nothing of what it shows.
type plainSender struct{ inner *sender }

func (p plainSender) Send(ctx context.Context, m notify.Message) error { return p.inner.Send(ctx, m) }

// countingTable counts what reaches the store.
type countingTable struct {
	store.Table
	calls  int
	broken func(call int) error
}

func (c *countingTable) call() error {
	c.calls++
	if c.broken != nil {
		return c.broken(c.calls)
	}
	return nil
}

func (c *countingTable) Get(ctx context.Context, key store.Key) (store.Row, error) {
	if err := c.call(); err != nil {
		return store.Row{}, err
	}
	return c.Table.Get(ctx, key)
}

func (c *countingTable) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	if err := c.call(); err != nil {
		return err
	}
	return c.Table.Update(ctx, key, fn)
}

type bench struct {
	t     *testing.T
	s     *otpsend.Service
	table *countingTable
	wa    *sender
	now   time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	bolt, err := boltstore.Open(filepath.Join(t.TempDir(), "twofa.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bolt.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t, table: &countingTable{Table: bolt}, wa: new(sender), now: noon}
	b.s = &otpsend.Service{
		Book: &recipient.Book{Table: b.table, Keys: ring(t, 1)}, Policy: otp.DefaultPolicy(),
		Senders: map[notify.Channel]notify.Sender{notify.WhatsApp: b.wa}, Default: notify.WhatsApp, Brand: "Acme",
		Now: func() time.Time { return b.now },
	}
	return b
}

func ring(t *testing.T, seed byte) *secret.Keyring {
	t.Helper()
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = seed + byte(3*i)
	}
	keys, err := secret.Parse(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (b *bench) start(req otpsend.Request) otpsend.Answer {
	b.t.Helper()
	a, err := b.s.Start(context.Background(), req)
	if err != nil {
		b.t.Fatalf("start: %v", err)
	}
	return a
}

// refused is the error of a start that has to be refused so.
func (b *bench) refused(req otpsend.Request, kind otp.Kind) *otp.Error {
	b.t.Helper()
	_, err := b.s.Start(context.Background(), req)
	return wantKind(b.t, err, kind)
}

func wantKind(t *testing.T, err error, kind otp.Kind) *otp.Error {
	t.Helper()
	e, ok := errors.AsType[*otp.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("error %v, want %s", err, kind)
	}
	return e
}

func (b *bench) status(id otp.ID) otp.Status {
	b.t.Helper()
	a, err := b.s.Status(context.Background(), string(id))
	if err != nil {
		b.t.Fatal(err)
	}
	return a.Status
}

func (b *bench) rows() int {
	b.t.Helper()
	page, err := b.table.Table.Expired(context.Background(), noon.AddDate(9, 0, 0), "")
	if err != nil {
		b.t.Fatal(err)
	}
	return len(page.Rows)
}

// Attack 6: what numbers cost is decided before anything else is touched.
func TestNumbersThatCostExtraReachNoProviderAndNoStore(t *testing.T) {
	b := newBench(t)
	for kind, number := range map[string]string{
		"premium rate":      "+19005550123",
		"premium rate (UK)": "+449098790123",
		"shared cost":       "+448431234567",
		"toll free":         "+18005550123",
		"personal":          "+447012345678",
		"satellite":         "+870773123456",
		"satellite phone":   "+881612345678",
		"global network":    "+883510012345",
	} {
		e := b.refused(otpsend.Request{To: number}, otp.DestinationRefused)
		if e.Detail == "" || strings.Contains(e.Detail, number) {
			t.Errorf("%s: detail %q", kind, e.Detail)
		}
	}
	if len(b.wa.sent) != 0 || b.table.calls != 0 {
		t.Errorf("%d messages, %d calls of the store", len(b.wa.sent), b.table.calls)
	}
}

// Attack 6: a thousand numbers in a row, of the ranges that pumping lives on.
func TestSequentialNumbersOfBadRangesReachNoProvider(t *testing.T) {
	b := newBench(t)
	for name, tc := range map[string]struct {
		first int
		kind  otp.Kind
	}{
		"premium rate": {19005550000, otp.DestinationRefused},
		"shared cost":  {448431230000, otp.DestinationRefused},
		"satellite":    {870773120000, otp.DestinationRefused},
		"unassigned":   {14150550000, otp.InvalidRequest},
		"no country":   {2100000000, otp.InvalidRequest},
	} {
		for i := range 1000 {
			number := "+" + strconv.Itoa(tc.first+i)
			_, err := b.s.Start(context.Background(), otpsend.Request{To: number})
			if e, ok := errors.AsType[*otp.Error](err); !ok || e.Kind != tc.kind {
				t.Fatalf("%s: %s: %v", name, number, err)
			}
		}
	}
	if len(b.wa.sent) != 0 || b.table.calls != 0 {
		t.Errorf("%d messages, %d calls of the store", len(b.wa.sent), b.table.calls)
	}
}

func TestOnlyTheCountriesThatAreNamedAreSentTo(t *testing.T) {
	for _, tc := range []struct {
		name      string
		countries map[string]bool
		to        string
		sent      bool
	}{
		{"named", map[string]bool{"US": true, "IN": true}, alice, true},
		{"not named", map[string]bool{"IN": true}, alice, false},
		{"all", nil, alice, true},
		{"none", map[string]bool{}, alice, false},
		{"a neighbour under the same calling code", map[string]bool{"US": true}, "+16045550123", false},
		{"no country's number, though all are allowed", nil, "+870773123456", false},
	} {
		b := newBench(t)
		b.s.Countries = tc.countries
		_, err := b.s.Start(context.Background(), otpsend.Request{To: tc.to})
		if tc.sent != (err == nil) || tc.sent != (len(b.wa.sent) == 1) {
			t.Errorf("%s: %v, %d messages", tc.name, err, len(b.wa.sent))
		}
		if !tc.sent {
			wantKind(t, err, otp.DestinationRefused)
		}
	}
}

// Attack 8: however a number is spelt, it is one recipient or refused.
func TestSpellingsOfANumberAreOneRowOrRefused(t *testing.T) {
	b := newBench(t)
	b.s.Policy.ResendAfter = 0
	first := b.start(otpsend.Request{To: alice})
	for _, spelling := range []string{
		"+1 (415) 555-0123", "+1-415-555-0123", "+1.415.555.0123", " +14155550123 ", "+1 415 555 0123",
		"0014155550123", "14155550123", "4155550123", "(415) 555-0123", "tel:+14155550123", "+14155550123;ext=5", "+1 415 555 0123 x5",
		"+1 (0)415 555 0123", "＋14155550123", "+１４１５５５５０１２３", "+1415555O123", "+1\u00a0415\u00a05550123", "+14155550123\n", "+001 4155550123",
	} {
		a, err := b.s.Start(context.Background(), otpsend.Request{To: spelling, Purpose: "p"})
		if err == nil && a.ID.RowKey() != first.ID.RowKey() {
			t.Errorf("%q is another recipient", spelling)
		}
		if err != nil {
			if e := wantKind(t, err, otp.InvalidRequest); e.Fields[0].Name != "to" {
				t.Errorf("%q: %+v", spelling, e.Fields)
			}
		}
		b.now = b.now.Add(11 * time.Minute)
	}
	if n := b.rows(); n != 1 {
		t.Errorf("%d rows, want one", n)
	}
	for _, m := range b.wa.sent {
		if m.To != alice {
			t.Errorf("sent to %s", m.To)
		}
	}
}

// Attack 7: the limits are the address's, whoever asks, for what and how.
func TestPurposesSpellingsAndCallersShareOneLimit(t *testing.T) {
	b := newBench(t)
	b.s.Policy.ResendAfter = 0
	spellings := []string{alice, "+1 (415) 555-0123", "+1-415-555-0123"}
	refused := 0
	for i := range 60 {
		_, err := b.s.Start(context.Background(), otpsend.Request{
			To: spellings[i%3], Purpose: fmt.Sprint("purpose", i%4), ClientIP: fmt.Sprint("203.0.113.", i), Locale: []string{"en", "de"}[i%2],
		})
		if err != nil {
			wantKind(t, err, otp.TooManySends)
			refused++
		}
	}
	if len(b.wa.sent) != 5 || refused != 55 {
		t.Errorf("%d messages and %d refusals, want 5 and 55", len(b.wa.sent), refused)
	}
	for range 100 { // and over a day
		b.now = b.now.Add(10 * time.Minute)
		_, _ = b.s.Start(context.Background(), otpsend.Request{To: alice})
	}
	if len(b.wa.sent) != 20 {
		t.Errorf("%d messages within a day, want 20", len(b.wa.sent))
	}
}

func TestTheSenderIsGivenWhatThePersonHasToSee(t *testing.T) {
	b := newBench(t)
	b.now = noon.Add(300 * time.Millisecond)
	b.s.Policy.TTL = 5 * time.Minute
	a := b.start(otpsend.Request{To: "+1 415 555 0123", Context: otp.Context{Amount: "EUR 25.00", Payee: "Acme Bikes"}})
	m := b.wa.sent[0]
	if len(m.Code) != 6 || strings.Trim(m.Code, "0123456789") != "" {
		t.Errorf("code %q", m.Code)
	}
	m.Code = ""
	if want := (notify.Message{To: alice, Brand: "Acme", ValidFor: 5 * time.Minute, Amount: "EUR 25.00", Payee: "Acme Bikes"}); m != want {
		t.Errorf("message %+v, want %+v", m, want)
	}
	if want := "+1******0123"; a.To != want || a.To != phone.Mask(alice) {
		t.Errorf("answered %s", a.To)
	}
	// What is told never promises more than holds.
	if !a.ExpiresAt.Equal(noon.Add(5*time.Minute)) || !a.ResendAfter.Equal(noon.Add(31*time.Second)) {
		t.Errorf("expires %v, resend after %v", a.ExpiresAt, a.ResendAfter)
	}
}

// Who approves a payment has to see what it is, on every message.
func TestAContextThatTheChannelCannotShowIsRefused(t *testing.T) {
	b := newBench(t)
	paying := otpsend.Request{To: alice, Context: otp.Context{Amount: "EUR 25.00"}}
	b.wa.blind = true
	if e := b.refused(paying, otp.InvalidRequest); e.Fields[0].Name != "context" || b.table.calls != 0 {
		t.Errorf("%+v, %d calls of the store", e.Fields, b.table.calls)
	}
	b.start(otpsend.Request{To: alice}) // without one it is sent

	b = newBench(t)
	a := b.start(paying)
	b.wa.blind = true // the operator set a template meanwhile
	b.now = b.now.Add(time.Minute)
	_, err := b.s.Resend(context.Background(), string(a.ID), otpsend.ResendRequest{})
	if e := wantKind(t, err, otp.InvalidRequest); e.Fields[0].Name != "context" || len(b.wa.sent) != 1 {
		t.Errorf("%+v, %d messages", e.Fields, len(b.wa.sent))
	}
	if got, _ := b.s.Status(context.Background(), string(a.ID)); got.SendsLeft != 4 {
		t.Errorf("a refused resend was counted: %+v", got)
	}
}

func TestASenderThatSaysNothingOfItIsTakenToShowAContext(t *testing.T) {
	b := newBench(t)
	b.s.Senders[notify.WhatsApp] = plainSender{b.wa}
	b.start(otpsend.Request{To: alice, Context: otp.Context{Payee: "Acme"}})
	if b.wa.sent[0].Payee != "Acme" {
		t.Errorf("message %+v", b.wa.sent[0])
	}
}

// Where no message can arrive, the verification is over; where one may arrive
// or the fault is ours, its code keeps working.
func TestWhatAFailureMakesOfTheVerification(t *testing.T) {
	for _, tc := range []struct {
		name    string
		failure error
		kind    otp.Kind
		status  otp.Status
	}{
		{"invalid address", &notify.Failure{Reason: notify.InvalidAddress}, otp.InvalidRequest, otp.Undeliverable},
		{"undeliverable", &notify.Failure{Reason: notify.Undeliverable, Code: 63024}, otp.KindUndeliverable, otp.Undeliverable},
		{"refused", &notify.Failure{Reason: notify.Refused}, otp.DestinationRefused, otp.Undeliverable},
		{"undeliverable after a try that may have sent", &notify.Failure{Reason: notify.Undeliverable, Code: 63024, MayHaveSent: true}, otp.KindUndeliverable, otp.Pending},
		{"misconfigured", &notify.Failure{Reason: notify.Misconfigured, Setting: "TWILIO_CONTENT_SID"}, otp.ProviderMisconfigured, otp.Pending},
		{"unavailable", &notify.Failure{Reason: notify.Unavailable}, otp.ProviderUnavailable, otp.Pending},
		{"time-out", fmt.Errorf("%w: %w", &notify.Failure{Reason: notify.Unavailable, MayHaveSent: true}, context.DeadlineExceeded), otp.ProviderUnavailable, otp.Pending},
		{"no failure of the contract", errors.New("what"), otp.ProviderUnavailable, otp.Pending},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			b.wa.answer = tc.failure
			e := b.refused(otpsend.Request{To: alice}, tc.kind)
			if got := b.status(e.ID); got != tc.status {
				t.Errorf("the verification is %s, want %s", got, tc.status)
			}
			if _, ok := errors.AsType[*notify.Failure](e); !ok {
				t.Errorf("the log is not told why: %v", e.Err)
			}
			// The message was spent all the same: failing must not be a way
			// around the limits.
			if e := b.refused(otpsend.Request{To: alice, Purpose: "p"}, otp.ResendTooSoon); e.RetryAfter != 30*time.Second {
				t.Errorf("retry after %v", e.RetryAfter)
			}
		})
	}
}

// The first message is with the person, whatever becomes of the second.
func TestAResendThatCannotArriveLeavesTheCodeAlive(t *testing.T) {
	for _, reason := range []notify.Reason{notify.InvalidAddress, notify.Undeliverable, notify.Refused} {
		b := newBench(t)
		a := b.start(otpsend.Request{To: alice})
		b.now = b.now.Add(time.Minute)
		b.wa.answer = &notify.Failure{Reason: reason}
		if _, err := b.s.Resend(context.Background(), string(a.ID), otpsend.ResendRequest{}); err == nil {
			t.Errorf("%s: the resend was answered as sent", reason)
		}
		if got := b.status(a.ID); got != otp.Pending {
			t.Errorf("%s: the verification is %s", reason, got)
		}
	}
}

// A pause that outlives the code asks for a new one.
func TestAProviderThatAsksForMoreTimeThanTheCodeHas(t *testing.T) {
	b := newBench(t)
	b.wa.answer = &notify.Failure{Reason: notify.Unavailable, RetryAfter: time.Hour}
	if e := b.refused(otpsend.Request{To: alice}, otp.ProviderUnavailable); !strings.Contains(e.Detail, "Start a new verification") {
		t.Errorf("detail %q", e.Detail)
	}
}

// Attack 18: a person who gets two messages gets the same code twice.
func TestAResendAfterAProvidersFaultHasTheSameCode(t *testing.T) {
	for name, failure := range map[string]*notify.Failure{
		"time-out": {Reason: notify.Unavailable, MayHaveSent: true},
		"429":      {Reason: notify.Unavailable, RetryAfter: 45 * time.Second},
		"500":      {Reason: notify.Unavailable, MayHaveSent: true, Code: 20500},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.wa.answer = failure
			e := b.refused(otpsend.Request{To: alice}, otp.ProviderUnavailable)
			if e.RetryAfter != max(30*time.Second, failure.RetryAfter) || strings.Contains(e.Detail, "may arrive") != failure.MayHaveSent {
				t.Errorf("retry after %v: %s", e.RetryAfter, e.Detail)
			}
			b.wa.answer = nil
			b.now = b.now.Add(e.RetryAfter)
			if _, err := b.s.Resend(context.Background(), string(e.ID), otpsend.ResendRequest{}); err != nil {
				t.Fatal(err)
			}
			if len(b.wa.sent) != 2 || b.wa.sent[0].Code != b.wa.sent[1].Code {
				t.Errorf("%d messages", len(b.wa.sent))
			}
		})
	}
}

// The client is told of the address what is true, even if storage cannot note it.
func TestAFailureThatCannotBeNotedIsStillAnswered(t *testing.T) {
	b := newBench(t)
	b.wa.answer = &notify.Failure{Reason: notify.Undeliverable}
	b.table.broken = func(call int) error {
		if call == 2 {
			return store.ErrUnavailable
		}
		return nil
	}
	e := b.refused(otpsend.Request{To: alice}, otp.KindUndeliverable)
	if got := b.status(e.ID); got != otp.Pending {
		t.Errorf("the verification is %s", got)
	}
}

// A country that is closed after a start is closed for its resends too.
func TestAResendAsksAgainWhetherTheNumberMayBeSentTo(t *testing.T) {
	b := newBench(t)
	a := b.start(otpsend.Request{To: alice})
	b.s.Countries = map[string]bool{"IN": true}
	b.now = b.now.Add(time.Minute)
	_, err := b.s.Resend(context.Background(), string(a.ID), otpsend.ResendRequest{})
	wantKind(t, err, otp.DestinationRefused)
	if len(b.wa.sent) != 1 {
		t.Errorf("%d messages went out", len(b.wa.sent))
	}
}

// With several channels a request may choose, and a resend stays on the last.
func TestChannelsAreChosenByTheRequest(t *testing.T) {
	b := newBench(t)
	b.s.Policy.ResendAfter = 0
	sms := new(sender)
	b.s.Senders["sms"] = sms
	e := b.refused(otpsend.Request{To: alice, Channel: "fax"}, otp.InvalidRequest)
	if got := e.Fields[0].Message; !strings.Contains(got, "sms, whatsapp") {
		t.Errorf("message %q", got)
	}
	a := b.start(otpsend.Request{To: alice})
	resend := func(channel string) otpsend.Answer {
		t.Helper()
		a, err := b.s.Resend(context.Background(), string(a.ID), otpsend.ResendRequest{Channel: channel})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	got := []string{a.Channel, resend("").Channel, resend("sms").Channel, resend("").Channel}
	if !slices.Equal(got, []string{"whatsapp", "whatsapp", "sms", "sms"}) || len(b.wa.sent) != 2 || len(sms.sent) != 2 {
		t.Errorf("channels %q, %d and %d messages", got, len(b.wa.sent), len(sms.sent))
	}
	if sms.sent[0].Code != b.wa.sent[0].Code {
		t.Error("another channel, another code")
	}

	delete(b.s.Senders, "sms") // the operator took it out of service
	if got := resend("").Channel; got != "whatsapp" || len(b.wa.sent) != 3 {
		t.Errorf("a channel that is gone: resent over %s", got)
	}
}

// Rotation: a code of a secret that was taken out cannot be made again.
func TestAResendOfACodeWhoseSecretIsGoneSaysSo(t *testing.T) {
	b := newBench(t)
	a := b.start(otpsend.Request{To: alice})
	b.now = b.now.Add(time.Minute)
	_, _, err := b.s.Book.Change(context.Background(), a.ID.RowKey(), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		r.Verifications[0].Key = [4]byte{1, 2, 3, 4}
		return r, otp.Verification{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.s.Resend(context.Background(), string(a.ID), otpsend.ResendRequest{})
	if e := wantKind(t, err, otp.KindExpired); !strings.Contains(e.Detail, "Start a new") || len(b.wa.sent) != 1 {
		t.Errorf("%s, %d messages", e.Detail, len(b.wa.sent))
	}
}

// A start's nonce and id are its own, so that no two codes hang together and
// none can be derived from the id, which the client knows.
func TestEveryStartHasItsOwnIDNonceAndCode(t *testing.T) {
	b := newBench(t)
	b.s.Policy.ResendAfter = 0
	b.s.Policy.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric}
	ids, codes, nonces := make(map[otp.ID]bool), make(map[string]bool), make(map[[16]byte]bool)
	for range 50 {
		id := b.start(otpsend.Request{To: alice}).ID
		ids[id] = true
		codes[b.wa.sent[len(b.wa.sent)-1].Code] = true
		r, err := b.s.Book.Load(context.Background(), id.RowKey())
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.Find(id)
		if err != nil {
			t.Fatal(err)
		}
		nonces[v.Nonce] = true
		b.now = b.now.Add(3 * time.Hour)
	}
	if len(ids) != 50 || len(codes) != 50 || len(nonces) != 50 || nonces[[16]byte{}] {
		t.Errorf("%d ids, %d codes and %d nonces of 50 starts", len(ids), len(codes), len(nonces))
	}
}

// A status is as of now, whether or not anybody has written the row since.
func TestStatusSaysWhatTimeHasDone(t *testing.T) {
	b := newBench(t)
	id := b.start(otpsend.Request{To: alice}).ID
	b.now = noon.Add(10*time.Minute - 1)
	if got := b.status(id); got != otp.Pending {
		t.Errorf("a nanosecond before its end: %s", got)
	}
	b.now = noon.Add(10 * time.Minute)
	if got := b.status(id); got != otp.Expired {
		t.Errorf("at its end: %s", got)
	}
	b.now = noon.Add(24*time.Hour + 10*time.Minute)
	_, err := b.s.Status(context.Background(), string(id))
	wantKind(t, err, otp.NotFound)
}

// What is accepted is shown whole: a cut payee is a payee that nobody approved.
func TestWhatMayBeAskedForIsWhatAMessageShows(t *testing.T) {
	if otp.MaxAmount != notify.MaxAmount || otp.MaxPayee != notify.MaxPayee {
		t.Errorf("accepted: %d and %d characters; shown: %d and %d", otp.MaxAmount, otp.MaxPayee, notify.MaxAmount, notify.MaxPayee)
	}
}
