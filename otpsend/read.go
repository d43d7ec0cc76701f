package otpsend

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/clientip"
	"twofa/internal/hostcall"
	"twofa/internal/locale"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/session"
	"twofa/internal/user"
)

// target is where a request sends to: an address, or a user's addresses.
type target struct {
	phone, email address.Address // zero: none
	user         user.User       // zero for an address
	userKey      otp.UserKey     // "" for an address
}

// has reports whether the target has an address for the channel.
func (t target) has(c channel.Channel) bool {
	if c.NeedsEmail() {
		return t.email.Text != ""
	}
	return t.phone.Text != ""
}

// log puts the address on the request's log line, so that the line of a refused start
// has it, too. It does nothing for a user.
func (t target) log(ctx context.Context) {
	for _, a := range []address.Address{t.phone, t.email} {
		if a.Text != "" {
			reqlog.Address(ctx, a)
		}
	}
}

// sameStart is what makes two requests the same one: every spelling of an address, an
// amount or a default has one form.
type sameStart struct {
	To      string          // the address, "" for a user
	User    otp.UserKey     // "" for an address
	Purpose string          // never ""
	Context otp.Transaction // in its one form
	// Workflow is empty for the channels that a request without channels gets.
	Workflow []channel.Channel
	Locale   string // in lower case; "" for the user's own
	ClientIP netip.Addr
	Origin   otp.Origin `json:",omitzero"`
	// Page is of a request for a page.
	Page session.Hash `json:",omitzero"`
}

// read checks all fields of a start before anything is stored. It loads the user of
// the request, if there is one.
func (s *Service) read(ctx context.Context, req Request, page *onPage) (start otp.StartRequest, same sameStart, err error) {
	faults := new(problem.Faults)
	to := s.readTarget(ctx, req, page, faults)
	req.Transaction = req.Transaction.Read(faults)
	start = otp.StartRequest{Purpose: readPurpose(ctx, req, faults), Transaction: req.Transaction, User: to.userKey}
	s.checkChannels(req, faults)
	start.Locale, same.ClientIP = readAdvice(ctx, req.Locale, req.ClientIP)
	start.Caller = otp.Caller{Client: client.From(ctx).ID, Origin: otp.ReadOrigin(req.Origin, faults)}
	if page != nil {
		page.read(&start, &same)
	}
	if start.Origin == otp.OriginTyped {
		start.Network = otp.NewNetwork(clientip.Client{Addr: same.ClientIP}.Network())
	}
	same.Origin = start.Origin
	asked := start.Locale
	to.log(ctx)
	if err := faults.Err(); err != nil {
		return start, same, err
	}
	if to.userKey != "" {
		if err := s.loadUser(ctx, &to); err != nil {
			return start, same, err
		}
		start.Locale = cmp.Or(start.Locale, to.user.Locale)
		if page != nil {
			page.app, page.recovery = len(to.user.TOTP.Confirmed()) > 0, to.user.Recovery.Left() > 0
		}
	} else {
		same.To = cmp.Or(to.phone.Text, to.email.Text)
	}
	start.Workflow = s.workflow(req, to, faults)
	if err := faults.Err(); err != nil {
		return start, same, err
	}
	same.User, same.Purpose, same.Context = to.userKey, start.Purpose, req.Transaction
	if !strings.EqualFold(asked, to.user.Locale) {
		same.Locale = strings.ToLower(asked)
	}
	if !slices.Equal(start.Workflow, s.workflow(Request{Transaction: req.Transaction}, to, new(problem.Faults))) {
		same.Workflow = slices.Clone(start.Workflow) // chooseRow changes it
	}
	return start, same, s.chooseRow(ctx, &start, to)
}

// readPurpose checks the purpose, and puts a valid one on the request's log line, so that
// the line of a refused start has it, too.
func readPurpose(ctx context.Context, req Request, faults *problem.Faults) string {
	own := new(problem.Faults)
	purpose := otp.CheckPurpose(req.Purpose, own)
	err := own.Err()
	if err == nil {
		reqlog.Purpose(ctx, purpose)
	}
	faults.AddAll(err)
	return purpose
}

// sameResend is what makes two resends of one verification the same request.
type sameResend struct {
	Channel  channel.Channel `json:"channel"`
	Origin   string          `json:"origin,omitzero"`
	ClientIP netip.Addr      `json:"client_ip,omitzero"`
}

// readResend checks all fields of a resend before anything is read.
func (s *Service) readResend(ctx context.Context, id string, req ResendRequest, page *onPage) (resend otp.ResendRequest, same sameResend, err error) {
	faults := new(problem.Faults)
	parsed, err := otp.ParseID(id)
	faults.AddAll(err)
	if req.Channel != "" && req.Channel != channel.Next && !s.Channels.Has(req.Channel) {
		faults.Add("channel", "%s", s.channelsText(channel.Next))
	}
	resend = otp.ResendRequest{
		ID: parsed, Owner: otp.Owner{Client: client.From(ctx).ID}, Channel: req.Channel,
		Origin: otp.ReadOrigin(req.Origin, faults), AnyOrigin: req.Origin == "",
	}
	same = sameResend{Channel: req.Channel, Origin: req.Origin}
	_, same.ClientIP = readAdvice(ctx, "", req.ClientIP)
	if page != nil {
		resend.Session, resend.Origin, same.ClientIP = page.session, page.origin, page.ip
	}
	return resend, same, faults.Err()
}

// readAdvice reads the fields that only advise: what cannot be read of them never refuses
// a code. It returns "" and the zero Addr for nothing. The log names the fields of which a
// part was left out, and not what they hold.
func readAdvice(ctx context.Context, asked, clientIP string) (tag string, ip netip.Addr) {
	var unread []string
	tag, whole := locale.Read(asked)
	if tag != "" && !locale.IsKnown(tag) {
		tag, whole = "", false
	}
	if !whole {
		unread = append(unread, "locale")
	}
	if clientIP != "" {
		var ok bool
		if ip, ok = clientip.Read(clientIP); !ok {
			unread = append(unread, "client_ip")
		}
	}
	if len(unread) > 0 {
		reqlog.Add(ctx, slog.String("unread", strings.Join(unread, ",")))
	}
	return tag, ip
}

// readTarget reads the address, or instead the name of a user of the client's directory.
func (s *Service) readTarget(ctx context.Context, req Request, page *onPage, faults *problem.Faults) (t target) {
	switch {
	case page != nil && page.user != "":
		t.userKey = page.user
	case req.To != "" && req.User != "":
		faults.Add("user", "Give either to or user.")
	case req.User != "":
		name, err := user.ParseName(req.User)
		faults.AddAll(err)
		t.userKey = s.Users.Key(user.DirectoryOf(ctx), name)
	case req.To == "":
		faults.Add("to", "Give to (a phone number or an e-mail address) or user.")
	default:
		a, err := address.Parse(req.To)
		if err != nil {
			faults.Add("to", "%s", err)
		} else if a.IsEmail() {
			t.email = a
		} else {
			t.phone = a
		}
	}
	return t
}

// loadUser loads the user and parses the user's addresses. An address that was valid when
// it was registered, and is not for this version, is DestinationRefused: its range was
// withdrawn, or taken out of the settings.
func (s *Service) loadUser(ctx context.Context, t *target) (err error) {
	if t.user, err = s.Users.Load(ctx, t.userKey); err != nil {
		return err
	}
	for _, a := range []struct {
		text string
		into *address.Address
	}{{t.user.Phone, &t.phone}, {t.user.Email, &t.email}} {
		if a.text == "" {
			continue
		}
		if *a.into, err = address.Parse(a.text); err != nil {
			return &problem.Error{
				Kind: problem.DestinationRefused, Err: errors.New("a registered address is not valid any more"),
				Detail: "An address that is registered for this user is not valid any more: " + err.Error() + ". Register the user's present address, or have the operator add its range to TWOFA_EXTRA_NUMBERS.",
			}
		}
	}
	return nil
}

// checkChannels checks the channels of the request, without the target.
func (s *Service) checkChannels(req Request, faults *problem.Faults) {
	if req.Channel != "" && len(req.Channels) > 0 {
		faults.Add("channels", "Give either channel (one) or channels (a workflow).")
	}
	if req.Channel == channel.Inbound {
		if s.Inbound == nil {
			faults.Add("channel", "This service cannot receive messages: TWOFA_PUBLIC_URL or the service's own number is not set.")
		}
	} else if req.Channel != "" && !s.Channels.Has(req.Channel) {
		faults.Add("channel", "%s", s.channelsText(""))
	}
	for i, c := range req.Channels {
		if !s.Channels.Has(c) {
			faults.Add("channels", "%s", s.channelsText(""))
			break
		}
		if slices.Contains(req.Channels[:i], c) {
			faults.Add("channels", "A workflow has each channel once.")
			break
		}
	}
}

// workflow returns the channels that the request will try, in order. Channels that
// the request names have to fit the target; of the user's or the service's channels,
// those that fit are used.
func (s *Service) workflow(req Request, to target, faults *problem.Faults) []channel.Channel {
	field, named := "channel", req.Channels
	switch {
	case req.Channel == channel.Inbound:
		if to.phone.Text == "" {
			faults.Add(field, "%s", needs(channel.Inbound))
		}
		return []channel.Channel{channel.Inbound}
	case req.Channel != "":
		named = []channel.Channel{req.Channel}
	case len(named) > 0:
		field = "channels"
	}
	channels := named
	if len(named) == 0 {
		unknown := func(c channel.Channel) bool { return !s.Channels.Has(c) }
		if channels = slices.DeleteFunc(slices.Clone(to.user.Channels), unknown); len(channels) == 0 {
			channels = s.Workflow
		}
	}
	var fit, show []channel.Channel
	for _, c := range channels {
		if !to.has(c) {
			if len(named) > 0 {
				faults.Add(field, "%s", needs(c))
			}
			continue
		}
		fit = append(fit, c)
		if s.shows(c, req.Transaction) {
			show = append(show, c)
		}
	}
	switch {
	case faults.Err() != nil:
	case len(fit) == 0:
		faults.Add("to", "No channel of this service's default workflow reaches this kind of address. If the service has another channel, name it.")
	case len(show) == 0:
		faults.Add("context", "%s", showsNothing(fit[0]))
	}
	return show
}

// chooseRow decides in which row the verification is: the number's if a channel of
// the workflow needs the number, so that all calls and texts to it share one set of
// limits; else the e-mail address's. It returns an error if the address must not be
// sent to.
func (s *Service) chooseRow(ctx context.Context, start *otp.StartRequest, to target) error {
	home, verified := to.email, to.user.EmailVerified
	byPhone := func(c channel.Channel) bool { return !c.NeedsEmail() }
	if slices.ContainsFunc(start.Workflow, byPhone) {
		home, verified = to.phone, to.user.PhoneVerified
		if slices.Contains(start.Workflow, channel.Email) {
			start.Other, verified = to.email.Text, verified && to.user.EmailVerified
		}
	}
	start.Address, start.Unverified = home.Text, start.User != "" && !verified
	reqlog.Address(ctx, home)
	if scenario := s.TestNumbers.Scenario(home.Text, s.Now()); start.Workflow[0] != channel.Inbound && scenario != (otp.Scenario{}) {
		// A test number sends no e-mails and others know its code, so it must not
		// verify the e-mail address.
		start.Scenario, start.Other = scenario, ""
		start.Workflow = slices.DeleteFunc(start.Workflow, channel.Channel.NeedsEmail)
	}
	return s.mayReach(ctx, home)
}

// mayReach returns an error if the operator's settings, or the client's, do not allow to
// send to the address.
func (s *Service) mayReach(ctx context.Context, a address.Address) error {
	return a.MayReach(s.Countries, client.From(ctx).Countries)
}

func needs(c channel.Channel) string {
	if c.NeedsEmail() {
		return "The channel email needs an e-mail address."
	}
	return "The channel " + string(c) + " needs a phone number."
}

// shows reports whether the channel shows all that the person has to see before
// approving it.
func (s *Service) shows(c channel.Channel, t otp.Transaction) bool {
	return t == (otp.Transaction{}) || s.Channels.ShowsTransaction(c)
}

func showsNothing(c channel.Channel) string {
	return "The " + string(c) + " template of this service cannot show an amount or a payee."
}

// channelsText lists the channels of the service for an error, and also one more
// value that the field accepts. "": none.
func (s *Service) channelsText(also channel.Channel) string {
	var names []string
	for _, c := range s.Channels.Channels() {
		names = append(names, string(c))
	}
	if also != "" {
		names = append(names, string(also))
	}
	text := "This service has the channels: " + strings.Join(names, ", ") + "."
	if s.Inbound != nil {
		text += " The channel inbound cannot be combined with others."
	}
	return text
}

// maxIdempotencyKey is how long a client's key may be.
const maxIdempotencyKey = 64

// readKey returns a client's idempotency key, "" for none. The key in quotation marks,
// as the draft of the header says (a string of RFC 9651), and the bare key are one key.
func readKey(header string) (string, error) {
	key, quoted := strings.CutPrefix(header, `"`)
	ok := true
	if quoted {
		key, ok = unquote(key)
	}
	printable := func(r rune) bool { return r >= '!' && r <= '~' }
	if header == "" {
		return "", nil
	}
	if !ok || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return !printable(r) }) {
		return "", problem.Invalid("Idempotency-Key", "An idempotency key is 1 to %d printable characters of ASCII, without spaces. It may stand in quotation marks.", maxIdempotencyKey)
	}
	return key, nil
}

// unquote returns a string of RFC 9651, whose first quotation mark is cut off.
func unquote(rest string) (text string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			return b.String(), i == len(rest)-1
		case c != '\\':
			b.WriteByte(c)
		default:
			if i++; i == len(rest) || rest[i] != '"' && rest[i] != '\\' {
				return "", false
			}
			b.WriteByte(rest[i])
		}
	}
	return "", false
}

// identify hashes a client's key and the request, by which a repetition is
// recognized. what names the operation, and for a resend the verification. Without a
// key it returns the zero Idempotency. The hashes are stored in a sealed row.
func identify(ctx context.Context, key, what string, req any) (otp.Idempotency, error) {
	if key == "" {
		return otp.Idempotency{}, nil
	}
	k := sha256.Sum256([]byte(key))
	return identifyAs(ctx, [16]byte(k[:16]), what, req)
}

// identifyCall is identify for a request without a client's key: the Functions host's id
// of the call is the key. No client's key has the same hash.
func identifyCall(ctx context.Context, what string, req any) (otp.Idempotency, error) {
	return identifyAs(ctx, hostcall.From(ctx), what, req)
}

func identifyAs(ctx context.Context, key [16]byte, what string, req any) (i otp.Idempotency, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return i, problem.Unexpected(err)
	}
	b := sha256.Sum256(append([]byte(what+"\x00"), body...))
	return otp.Idempotency{Key: key, Body: [16]byte(b[:16]), Call: hostcall.From(ctx)}, nil
}
