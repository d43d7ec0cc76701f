package otpsend

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"twofa/internal/address"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/user"
)

// whom is the addresses of a request, and what is known of them.
type whom struct {
	phone, email address.Address
	user         user.User
	userKey      string
}

func (w whom) has(channel string) bool {
	if channel == otp.ChannelEmail {
		return w.email.Text != ""
	}
	return w.phone.Text != ""
}

// read checks a start's fields, all of them, before anything is stored.
func (s *Service) read(ctx context.Context, req Request) (otp.StartRequest, error) {
	faults := new(problem.Faults)
	who := readWhom(req, faults)
	start := otp.StartRequest{Purpose: otp.CheckPurpose(req.Purpose, faults), Context: req.Context, Locale: req.Locale}
	start.Context.Check(faults)
	s.checkChannels(req, faults)
	otp.CheckLocale(req.Locale, faults)
	if req.ClientIP != "" {
		if _, err := netip.ParseAddr(req.ClientIP); err != nil {
			faults.Add("client_ip", "This is no IP address.")
		}
	}
	if err := faults.Err(); err != nil {
		return start, err
	}
	if req.User != "" {
		name, _ := user.ParseName(req.User)
		if err := s.loadUser(ctx, name, &who); err != nil {
			return start, err
		}
		if start.User = who.userKey; start.Locale == "" {
			start.Locale = who.user.Locale
		}
	}
	start.Workflow = s.workflow(req, who, start.Context, faults)
	if err := faults.Err(); err != nil {
		return start, err
	}
	return start, s.settleAddress(ctx, &start, who)
}

// readWhom reads the address, or sees that a user is named instead.
func readWhom(req Request, faults *problem.Faults) (w whom) {
	switch {
	case req.To != "" && req.User != "":
		faults.Add("user", "Give either to or user.")
	case req.User != "":
		if _, bad := user.ParseName(req.User); bad != nil {
			faults.AddAll(bad)
		}
	case req.To == "":
		faults.Add("to", "The number or e-mail address to send to is missing, or else the user.")
	default:
		a, err := address.Parse(req.To)
		if err != nil {
			faults.Add("to", "%s", err)
		} else if a.IsEmail() {
			w.email = a
		} else {
			w.phone = a
		}
	}
	return w
}

func (s *Service) loadUser(ctx context.Context, name string, w *whom) error {
	w.userKey = s.Users.Key(name)
	u, err := s.Users.Load(ctx, w.userKey)
	if err == nil && u.Name != name {
		err = &problem.Error{Kind: problem.Internal, Err: errors.New("otpsend: the row of this name holds another user")}
	}
	if err != nil {
		return err
	}
	w.user = u
	if u.Phone != "" {
		if w.phone, err = address.Parse(u.Phone); err != nil {
			return &problem.Error{Kind: problem.Internal, Err: err}
		}
	}
	if u.Email != "" {
		if w.email, err = address.Parse(u.Email); err != nil {
			return &problem.Error{Kind: problem.Internal, Err: err}
		}
	}
	return nil
}

// checkChannels checks what can be known of the named channels before whom they
// are for.
func (s *Service) checkChannels(req Request, faults *problem.Faults) {
	if req.Channel != "" && len(req.Channels) > 0 {
		faults.Add("channels", "Give either channel (one) or channels (a workflow).")
	}
	if req.Channel == otp.ChannelInbound {
		if s.Inbound == nil {
			faults.Add("channel", "This service does not take people's messages: TWOFA_PUBLIC_URL or our own number is not set.")
		}
	} else if req.Channel != "" && !s.has(req.Channel) {
		faults.Add("channel", "%s", s.channelsText(""))
	}
	for i, c := range req.Channels {
		if !s.has(c) {
			faults.Add("channels", "%s", s.channelsText(""))
			break
		}
		if slices.Contains(req.Channels[:i], c) {
			faults.Add("channels", "A workflow has each channel once.")
			break
		}
	}
}

// workflow is the channels that the request will try: what it names has to fit
// the person; of what it leaves to us, we take what fits.
func (s *Service) workflow(req Request, who whom, c otp.Context, faults *problem.Faults) []string {
	field, named := "channel", req.Channels
	switch {
	case req.Channel == otp.ChannelInbound:
		if who.phone.Text == "" {
			faults.Add(field, "A person's own message proves a phone number; there is none here.")
		}
		return []string{otp.ChannelInbound}
	case req.Channel != "":
		named = []string{req.Channel}
	case len(named) > 0:
		field = "channels"
	}
	channels := named
	if len(named) == 0 && len(who.user.Channels) > 0 {
		channels = slices.DeleteFunc(slices.Clone(who.user.Channels), func(c string) bool { return !s.has(c) })
	}
	if len(channels) == 0 {
		for _, c := range s.Carrier.Workflow {
			channels = append(channels, string(c))
		}
	}
	var fits, shows []string
	for _, channel := range channels {
		if who.has(channel) {
			fits = append(fits, channel)
		} else if len(named) > 0 {
			faults.Add(field, "%s", needs(channel))
		}
	}
	for _, channel := range fits {
		if s.shows(channel, c) {
			shows = append(shows, channel)
		}
	}
	switch {
	case faults.Err() != nil:
	case len(fits) == 0:
		faults.Add("to", "No channel of this service's own workflow reaches an address of this kind. If it has one, name it as channel.")
	case len(shows) == 0:
		faults.Add("context", "The %s template of this service cannot show an amount or a payee.", fits[0])
	}
	return shows
}

// settleAddress decides whose row the verification is in: the number's, if a
// channel of the workflow needs it, so that all calls and texts to it share one
// set of limits; else the e-mail address's.
func (s *Service) settleAddress(ctx context.Context, start *otp.StartRequest, who whom) error {
	home, verified := who.email, who.user.EmailVerified
	byPhone := func(c string) bool { return c != otp.ChannelEmail }
	if slices.ContainsFunc(start.Workflow, byPhone) {
		home, verified = who.phone, who.user.PhoneVerified
		if slices.Contains(start.Workflow, otp.ChannelEmail) {
			start.Other, verified = who.email.Text, verified && who.user.EmailVerified
		}
	}
	start.Address, start.Unverified = home.Text, start.User != "" && !verified
	reqlog.Address(ctx, home)
	if script := s.Carrier.Script(home.Text); start.Workflow[0] != otp.ChannelInbound && script != (otp.Script{}) {
		// A script has no mails, and others know its code: it proves no mail address.
		start.Script, start.Other = script, ""
		start.Workflow = slices.DeleteFunc(start.Workflow, func(c string) bool { return c == otp.ChannelEmail })
	}
	return home.MayReach(s.Countries)
}

func needs(channel string) string {
	if channel == otp.ChannelEmail {
		return "The channel email needs an e-mail address."
	}
	return "The channel " + channel + " needs a phone number."
}

func (s *Service) has(channel string) bool { return s.Carrier.Senders[notify.Channel(channel)] != nil }

func (s *Service) channelsText(also string) string {
	var names []string
	for _, c := range slices.Sorted(maps.Keys(s.Carrier.Senders)) {
		names = append(names, string(c))
	}
	if also != "" {
		names = append(names, also)
	}
	text := "This service has the channels: " + strings.Join(names, ", ") + "."
	if s.Inbound != nil {
		text += " The channel inbound goes alone."
	}
	return text
}

// shows reports whether the channel shows all that the person has to see before
// approving it.
func (s *Service) shows(channel string, c otp.Context) bool {
	shower, ok := s.Carrier.Senders[notify.Channel(channel)].(notify.ContextShower)
	return c == (otp.Context{}) || !ok || shower.ShowsContext()
}

// mayStillReach returns an error for a kept address that is not sent to any more.
func (s *Service) mayStillReach(kept string) error {
	home, err := address.Parse(kept)
	if err != nil {
		return &problem.Error{Kind: problem.Internal, Err: err}
	}
	return home.MayReach(s.Countries)
}

// maxIdempotencyKey is how long a client's key may be.
const maxIdempotencyKey = 64

// identify is what makes a repeated request known. The hashes lie in a sealed
// row.
func identify(key, what string, req any) (i otp.Idempotency, err error) {
	if key == "" {
		return i, nil
	}
	printable := func(r rune) bool { return r >= '!' && r <= '~' }
	if len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return !printable(r) }) {
		return i, problem.Invalid("Idempotency-Key", "An idempotency key is 1 to %d printable characters of ASCII, without spaces.", maxIdempotencyKey)
	}
	body, err := json.Marshal(req)
	if err != nil {
		return i, &problem.Error{Kind: problem.Internal, Err: err}
	}
	k, b := sha256.Sum256([]byte(key)), sha256.Sum256(append([]byte(what+"\x00"), body...))
	copy(i.Key[:], k[:])
	copy(i.Body[:], b[:])
	return i, nil
}
