package users

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/shown"
)

// AlertRequest asks the service to warn a user.
type AlertRequest struct {
	Event  notify.Event `json:"event"`
	Detail Detail       `json:"detail"`
}

// Detail is where an event was noticed, as the person will read it. "": not known.
type Detail struct {
	Place  string `json:"place"`
	Device string `json:"device"`
}

// Alerted says that a warning is on its way.
type Alerted struct {
	Status  string          `json:"status"` // sent
	To      string          `json:"to"`     // masked
	Channel channel.Channel `json:"channel"`
}

// Alert warns a user of something that the client has noticed, at an address that was
// proven. Two storage round trips more than one for the user, and two for a second
// address.
//
// Errors are of kind InvalidRequest, NotFound, Undeliverable (no address was proven),
// TooManySends, DestinationRefused, ProviderUnavailable, StorageUnavailable or Internal.
func (s *Service) Alert(ctx context.Context, name string, req AlertRequest) (Alerted, error) {
	faults := new(problem.Faults)
	name = checkName(name, faults)
	m := notify.Message{
		Event:  req.Event,
		Place:  readDetail("detail.place", req.Detail.Place, faults),
		Device: readDetail("detail.device", req.Detail.Device, faults),
	}
	if !slices.Contains(notify.Events, m.Event) {
		faults.Add("event", "An event is one of wrong_password, new_sign_in and other.")
	}
	if err := faults.Err(); err != nil {
		return Alerted{}, err
	}
	reqlog.Add(ctx, slog.String("event", string(m.Event)))
	u, err := s.load(ctx, name)
	if err != nil {
		return Alerted{}, err
	}
	to, over, err := s.Notifier.AlertEvent(ctx, u, m)
	if err != nil {
		return Alerted{}, err
	}
	if a, err := address.Parse(to); err == nil {
		reqlog.Address(ctx, a)
	}
	reqlog.Add(ctx, slog.Bool("alerted", true), slog.String("channel", string(over)))
	return Alerted{Status: "sent", To: address.Mask(to), Channel: over}, nil
}

// readDetail returns the one form of a text that stands in a warning, and adds a fault
// for a text that could make the person do something: the warning comes from the
// service, and a code or a link in it would seem to come from there, too.
func readDetail(field, text string, faults *problem.Faults) string {
	form, fault := shown.Read(text, notify.MaxDetail)
	switch {
	case fault != "":
	case hasNumber(form):
		fault = "Four digits or more could be taken for a code, also with other characters between them. Only a letter ends a number."
	case hasLink(form):
		fault = "Links, host names and mail addresses are not shown. A dot before a letter needs a space between."
	case strings.ContainsAny(norm.NFKC.String(form), "{}"):
		fault = "Braces and template placeholders are not shown."
	}
	if fault != "" {
		faults.Add(field, "%s", fault)
	}
	return form
}

// hasNumber reports whether a text has as many digits in a row as the shortest code.
// Numbers of every kind and script count, also ⑫ and ²: as many digits as a person sees.
// Only a letter ends a row, because people read a code across anything else. Some letters
// look like a hyphen or an apostrophe, and do not.
func hasNumber(text string) bool {
	row := 0
	for _, r := range norm.NFKC.String(text) {
		switch {
		case unicode.Is(unicode.N, r):
			row++
		case unicode.IsLetter(r) && !unicode.Is(unicode.Lm, r) && r != '一' && r != '\u1173':
			row = 0
		}
		if row >= otp.MinCodeLength {
			return true
		}
	}
	return false
}

// hasLink reports whether an app could make a link of a part of a text: it has a scheme,
// an @, or a host name, which is a dot before a letter. Marks and joiners on a dot do not
// count, and neither does the form of a character: a browser reads ｗｗｗ。 as www.
func hasLink(text string) bool {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.In(r, unicode.M, unicode.Cf):
			return -1
		case strings.ContainsRune("。｡．", r): // IDNA takes them for dots
			return '.'
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(text))
	if strings.ContainsAny(text, "@") || strings.Contains(text, "//") || strings.Contains(text, ":/") || strings.Contains(text, "www.") {
		return true
	}
	for i, r := range text {
		if r != '.' {
			continue
		}
		for _, next := range text[i+1:] {
			if unicode.IsLetter(next) {
				return true
			}
			break
		}
	}
	return false
}
