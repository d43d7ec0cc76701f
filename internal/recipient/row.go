package recipient

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/otp"
	"twofa/internal/row"
)

// The first byte of an encoded recipient is its version. A new layout gets a new
// version, and Decode still reads the older ones.
const (
	version1 = 1 // one channel for each verification, no deliveries; see row1.go
	version2 = 2 // no notices, no messages of the person, no requests under way
	version3 = 3 // no calls of the host
	version4 = 4 // one caller, no alerts of events
	version5 = 5 // no page sessions, no wrong codes from known browsers
	version6 = 6 // no providers
	version7 = 7 // only where a provider has a name
)

// errRow: the bytes are not a recipient in a version that this program knows.
var errRow = errors.New("recipient: not an encoded recipient")

// These fix the number of each status in a row. Append only.
var (
	statuses         = []otp.Status{otp.Pending, otp.Approved, otp.Canceled, otp.Denied, otp.Expired, otp.Exhausted, otp.Undeliverable}
	deliveryStatuses = []otp.DeliveryStatus{otp.Queued, otp.Sent, otp.Failed, otp.Delivered, otp.Read}
)

// Encode writes a recipient as bytes: numbers in big-endian order, texts and
// lists after their length in bytes, times in Unix milliseconds. It fails for a
// recipient that Decode would refuse, and for texts longer than 255 bytes. A recipient of
// whose messages no provider has a name is written as version 6, which the release before reads.
func Encode(r otp.Recipient) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 256+288*len(r.Verifications)+128*len(r.Tallies)+176*len(r.Replays)))
	version := uint8(version6)
	if r.NamesProviders() {
		version = version7
	}
	b.AddUint8(version)
	row.AddText(b, r.Address)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, t := range r.Tallies {
			addTally(b, t)
		}
	})
	row.AddTime(b, r.BlockedUntil)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, p := range r.Preferred {
			row.AddText(b, p.Client)
			row.AddTime(b, p.At)
			row.AddText(b, p.Channel)
			addProvider(b, p.Provider, version)
			if version >= version7 {
				row.AddBool(b, p.Alone)
			}
		}
	})
	row.AddTime(b, r.KnownAt)
	row.AddTime(b, r.Epoch)
	addSuspects(b, r.Suspects)
	row.AddTimes(b, r.Notices)
	b.AddBytes(r.NoticeCall[:])
	addEvents(b, r.Events)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, m := range r.Messages {
			b.AddBytes(m.Hash[:])
			row.AddTime(b, m.At)
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, p := range r.Replays {
			addReplay(b, p)
		}
	})
	for _, v := range r.Verifications {
		if err := mayEncode(v); err != nil {
			return nil, err
		}
		addVerification(b, v, version)
	}
	return b.Bytes()
}

func addProvider(b *cryptobyte.Builder, name string, version uint8) {
	if version >= version7 {
		row.AddText(b, name)
	}
}

func readProvider(s *cryptobyte.String, name *string, version uint8) bool {
	return version < version7 || row.ReadText(s, name)
}

// mayEncode returns an error for a verification that Decode would refuse.
func mayEncode(v otp.Verification) error {
	_, err := otp.ParseID(string(v.ID))
	if err != nil || !v.Shape.Valid() || !slices.Contains(statuses, v.Status) || !hasChannel(v) {
		return fmt.Errorf("recipient: cannot keep the verification %q, %s, %+v, %q", v.ID, v.Status, v.Shape, v.Workflow)
	}
	for _, a := range v.Attempts {
		if !slices.Contains(deliveryStatuses, a.Status) {
			return fmt.Errorf("recipient: cannot keep a message that is %q", a.Status)
		}
	}
	return nil
}

// hasChannel reports whether v has a workflow, and a message unless it waits for a
// message of the person. This holds for every verification.
func hasChannel(v otp.Verification) bool {
	return len(v.Workflow) > 0 && (v.Inbound() || len(v.Attempts) > 0)
}

func addCaller(b *cryptobyte.Builder, c otp.Caller) {
	row.AddText(b, c.Client)
	b.AddUint8(uint8(c.Origin))
	if c.Origin == otp.OriginTyped {
		b.AddBytes(c.Network[:])
	}
}

func readCaller(s *cryptobyte.String, c *otp.Caller) bool {
	var origin uint8
	ok := row.ReadText(s, &c.Client) && s.ReadUint8(&origin) && otp.Origin(origin) <= otp.OriginKnown
	c.Origin = otp.Origin(origin)
	return ok && (c.Origin != otp.OriginTyped || s.CopyBytes(c.Network[:]))
}

// addOwner is addCaller with the session.
func addOwner(b *cryptobyte.Builder, c otp.Caller) {
	addCaller(b, c)
	row.AddBool(b, c.Session != otp.Session{})
	if c.Session != (otp.Session{}) {
		b.AddBytes(c.Session[:])
	}
}

// readOwner reads the caller of a verification or of an answer.
func readOwner(s *cryptobyte.String, c *otp.Caller, version uint8) bool {
	switch {
	case version < version5:
		return true
	case version == version5:
		return readCaller(s, c)
	}
	var page bool
	return readCaller(s, c) && row.ReadBool(s, &page) && (!page || s.CopyBytes(c.Session[:]) && c.Session != otp.Session{})
}

func addTally(b *cryptobyte.Builder, t otp.Tally) {
	addCaller(b, t.Caller)
	row.AddTimes(b, t.Sends)
	row.AddTimes(b, t.Failures)
	row.AddTime(b, t.AlertedAt)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, u := range t.Unlocks {
			row.AddTime(b, u.At)
			b.AddBytes(u.Call[:])
		}
	})
}

func readTally(s *cryptobyte.String) (t otp.Tally, ok bool) {
	var unlocks cryptobyte.String
	ok = readCaller(s, &t.Caller) && row.ReadTimes(s, &t.Sends) && row.ReadTimes(s, &t.Failures) &&
		row.ReadTime(s, &t.AlertedAt) && s.ReadUint8LengthPrefixed(&unlocks)
	for ok && !unlocks.Empty() {
		var u otp.Unlock
		ok = row.ReadTime(&unlocks, &u.At) && unlocks.CopyBytes(u.Call[:])
		t.Unlocks = append(t.Unlocks, u)
	}
	return t, ok
}

func addReplay(b *cryptobyte.Builder, p otp.Replay) {
	addOwner(b, p.Caller)
	b.AddBytes(p.Key[:])
	b.AddBytes(p.Body[:])
	row.AddTime(b, p.At)
	row.AddText(b, p.ID)
	row.AddText(b, p.Purpose)
	row.AddText(b, p.Channel)
	row.AddTime(b, p.ExpiresAt)
	row.AddTime(b, p.ResendAfter)
	b.AddUint16(uint16(p.SendsLeft))
	b.AddUint16(uint16(p.ChecksLeft))
	b.AddUint8(uint8(p.Outcome))
	b.AddUint32(uint32(p.RetryAfter / time.Second))
	row.AddBool(b, p.UnderWay)
	b.AddBytes(p.Call[:])
}

func addVerification(b *cryptobyte.Builder, v otp.Verification, version uint8) {
	row.AddText(b, v.ID)
	addOwner(b, v.Caller)
	row.AddText(b, v.Purpose)
	row.AddText(b, v.User)
	row.AddBool(b, v.Unverified)
	row.AddText(b, v.Other)
	row.AddText(b, v.Locale)
	row.AddTexts(b, v.Workflow)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, a := range v.Attempts {
			row.AddText(b, a.Channel)
			row.AddTime(b, a.At)
			b.AddUint8(uint8(slices.Index(deliveryStatuses, a.Status)))
			b.AddUint32(uint32(a.Error))
			row.AddBool(b, a.MayRecover)
			addProvider(b, a.Provider, version)
			if version >= version7 {
				row.AddBool(b, a.Refused)
				b.AddUint8(uint8(a.Asked))
				b.AddBytes(a.Call[:])
			}
		}
	})
	row.AddText(b, v.Transaction.Amount)
	row.AddText(b, v.Transaction.Payee)
	b.AddBytes(v.Nonce[:])
	b.AddBytes(v.Key[:])
	b.AddUint8(uint8(v.Shape.Length))
	b.AddUint8(uint8(v.Shape.Alphabet))
	row.AddText(b, v.TestCode)
	b.AddUint8(uint8(slices.Index(statuses, v.Status)))
	row.AddTime(b, v.CreatedAt)
	row.AddTime(b, v.ExpiresAt)
	row.AddTime(b, v.EndedAt)
	b.AddUint16(uint16(v.Checks))
	row.AddBool(b, v.Claimed)
}

// Decode reads what Encode of this or an earlier version wrote. Anything else is an
// error: an unknown version or status, a missing byte, an additional byte.
func Decode(encoded []byte) (otp.Recipient, error) {
	s := cryptobyte.String(encoded)
	var version uint8
	if !s.ReadUint8(&version) || version < version1 || version > version7 {
		return otp.Recipient{}, fmt.Errorf("%w: version %d", errRow, version)
	}
	var r otp.Recipient
	ok := row.ReadText(&s, &r.Address)
	if version >= version5 {
		ok = ok && readCallers(&s, &r, version)
	} else {
		ok = ok && readOneCaller(&s, &r, version)
	}
	if version >= version3 {
		ok = ok && row.ReadTimes(&s, &r.Notices) && (version < version4 || s.CopyBytes(r.NoticeCall[:])) &&
			(version < version5 || readEvents(&s, &r.Events)) && readMessages(&s, &r.Messages)
	}
	if version >= version2 {
		ok = ok && readReplays(&s, &r.Replays, version)
	}
	for ok && !s.Empty() {
		var v otp.Verification
		if version == version1 {
			v, ok = readVerification1(&s)
		} else {
			v, ok = readVerification2(&s, version)
		}
		ok = ok && hasChannel(v)
		r.Verifications = append(r.Verifications, v)
	}
	if !ok {
		return otp.Recipient{}, errRow
	}
	return r, nil
}

// readCallers reads what is kept apart by caller.
func readCallers(s *cryptobyte.String, r *otp.Recipient, version uint8) bool {
	var tallies, preferred cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&tallies) && row.ReadTime(s, &r.BlockedUntil) && s.ReadUint16LengthPrefixed(&preferred) &&
		row.ReadTime(s, &r.KnownAt) && row.ReadTime(s, &r.Epoch) && (version < version6 || readSuspects(s, &r.Suspects))
	for ok && !tallies.Empty() {
		var t otp.Tally
		t, ok = readTally(&tallies)
		r.Tallies = append(r.Tallies, t)
	}
	for ok && !preferred.Empty() {
		var p otp.Preferred
		ok = row.ReadText(&preferred, &p.Client) && row.ReadTime(&preferred, &p.At) && row.ReadText(&preferred, &p.Channel) &&
			readProvider(&preferred, &p.Provider, version) && (version < version7 || row.ReadBool(&preferred, &p.Alone))
		r.Preferred = append(r.Preferred, p)
	}
	return ok
}

// readOneCaller reads the same of a row of before version5, whose one caller is the
// server of the nameless client.
func readOneCaller(s *cryptobyte.String, r *otp.Recipient, version uint8) bool {
	var t otp.Tally
	var p otp.Preferred
	ok := row.ReadTimes(s, &t.Sends) && row.ReadTimes(s, &t.Failures)
	if version >= version2 {
		ok = ok && row.ReadTime(s, &t.AlertedAt) && row.ReadTime(s, &r.BlockedUntil) &&
			row.ReadTime(s, &p.At) && row.ReadText(s, &p.Channel)
	}
	if len(t.Sends)+len(t.Failures) > 0 || !t.AlertedAt.IsZero() {
		r.Tallies = []otp.Tally{t}
	}
	if p.Channel != "" {
		r.Preferred = []otp.Preferred{p}
	}
	return ok
}

func readMessages(s *cryptobyte.String, out *[]otp.Message) bool {
	var list cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&list)
	for ok && !list.Empty() {
		var m otp.Message
		ok = list.CopyBytes(m.Hash[:]) && row.ReadTime(&list, &m.At)
		*out = append(*out, m)
	}
	return ok
}

func readReplays(s *cryptobyte.String, out *[]otp.Replay, version uint8) bool {
	var list cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&list)
	for ok && !list.Empty() {
		var p otp.Replay
		var sends, checks uint16
		var outcome uint8
		var retryAfter uint32
		ok = readOwner(&list, &p.Caller, version) && list.CopyBytes(p.Key[:]) && list.CopyBytes(p.Body[:]) && row.ReadTime(&list, &p.At) && row.ReadText(&list, &p.ID) &&
			row.ReadText(&list, &p.Purpose) && row.ReadText(&list, &p.Channel) &&
			row.ReadTime(&list, &p.ExpiresAt) && row.ReadTime(&list, &p.ResendAfter) &&
			list.ReadUint16(&sends) && list.ReadUint16(&checks) && list.ReadUint8(&outcome) && list.ReadUint32(&retryAfter) &&
			otp.Outcome(outcome) <= otp.OutcomeUnclear && (version < version3 || row.ReadBool(&list, &p.UnderWay)) &&
			(version < version4 || list.CopyBytes(p.Call[:]))
		p.SendsLeft, p.ChecksLeft = int(sends), int(checks)
		p.Outcome, p.RetryAfter = otp.Outcome(outcome), time.Duration(retryAfter)*time.Second
		*out = append(*out, p)
	}
	return ok
}

func readVerification2(s *cryptobyte.String, version uint8) (v otp.Verification, ok bool) {
	var attempts cryptobyte.String
	var length, alphabet, status uint8
	var checks uint16
	ok = row.ReadText(s, &v.ID) &&
		readOwner(s, &v.Caller, version) &&
		row.ReadText(s, &v.Purpose) &&
		row.ReadText(s, &v.User) &&
		row.ReadBool(s, &v.Unverified) &&
		row.ReadText(s, &v.Other) &&
		row.ReadText(s, &v.Locale) &&
		row.ReadTexts(s, &v.Workflow) &&
		s.ReadUint16LengthPrefixed(&attempts) &&
		row.ReadText(s, &v.Transaction.Amount) &&
		row.ReadText(s, &v.Transaction.Payee) &&
		s.CopyBytes(v.Nonce[:]) &&
		s.CopyBytes(v.Key[:]) &&
		s.ReadUint8(&length) &&
		s.ReadUint8(&alphabet) &&
		row.ReadText(s, &v.TestCode) &&
		s.ReadUint8(&status) &&
		row.ReadTime(s, &v.CreatedAt) &&
		row.ReadTime(s, &v.ExpiresAt) &&
		row.ReadTime(s, &v.EndedAt) &&
		s.ReadUint16(&checks) &&
		row.ReadBool(s, &v.Claimed)
	for ok && !attempts.Empty() {
		var a otp.Attempt
		a, ok = readAttempt(&attempts, version)
		v.Attempts = append(v.Attempts, a)
	}
	v.Checks = int(checks)
	return v, ok && setNumbered(&v, length, alphabet, status)
}

func readAttempt(s *cryptobyte.String, version uint8) (a otp.Attempt, ok bool) {
	var status uint8
	var number uint32
	ok = row.ReadText(s, &a.Channel) && row.ReadTime(s, &a.At) && s.ReadUint8(&status) && s.ReadUint32(&number) &&
		row.ReadBool(s, &a.MayRecover) && readProvider(s, &a.Provider, version)
	if ok && version >= version7 {
		var asked uint8
		ok = row.ReadBool(s, &a.Refused) && s.ReadUint8(&asked) && s.CopyBytes(a.Call[:])
		a.Asked = int(asked)
	}
	if !ok || int(status) >= len(deliveryStatuses) {
		return a, false
	}
	a.Status, a.Error = deliveryStatuses[status], int(number)
	return a, true
}

// setNumbered sets the fields that a row holds as numbers. It reports whether the
// numbers are known, and whether the id is valid.
func setNumbered(v *otp.Verification, length, alphabet, status uint8) bool {
	if int(status) >= len(statuses) {
		return false
	}
	v.Status = statuses[status]
	v.Shape = otp.Shape{Length: int(length), Alphabet: otp.Alphabet(alphabet)}
	_, err := otp.ParseID(string(v.ID))
	return err == nil && v.Shape.Valid()
}

func addSuspects(b *cryptobyte.Builder, list []otp.Suspect) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, s := range list {
			b.AddBytes(s.ID[:])
			b.AddUint8(s.Failures)
			row.AddTime(b, s.At)
		}
	})
}

func readSuspects(s *cryptobyte.String, out *[]otp.Suspect) bool {
	var list cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&list)
	for ok && !list.Empty() {
		var p otp.Suspect
		ok = list.CopyBytes(p.ID[:]) && list.ReadUint8(&p.Failures) && row.ReadTime(&list, &p.At)
		*out = append(*out, p)
	}
	return ok
}

func addEvents(b *cryptobyte.Builder, events []otp.Event) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, e := range events {
			row.AddText(b, e.Client)
			row.AddText(b, e.Name)
			row.AddTime(b, e.At)
		}
	})
}

func readEvents(s *cryptobyte.String, out *[]otp.Event) bool {
	var list cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&list)
	for ok && !list.Empty() {
		var e otp.Event
		ok = row.ReadText(&list, &e.Client) && row.ReadText(&list, &e.Name) && row.ReadTime(&list, &e.At)
		*out = append(*out, e)
	}
	return ok
}
