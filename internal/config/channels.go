package config

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify/email"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/texts"
)

// requiredAddresses finds the clients that require addresses which no code reaches.
func requiredAddresses(s *Settings, faults *Faults) {
	if s.Clients == nil {
		return
	}
	for _, c := range s.Clients.Clients() {
		for _, kind := range c.Require {
			if !slices.ContainsFunc(s.Channels, func(by channel.Channel) bool { return by.NeedsEmail() == (kind == "email") }) {
				faults.add("TWOFA_CHANNELS", "has no channel that reaches the %s that the client %q requires: people could not sign in to it", map[string]string{"email": "e-mail address", "phone": "phone number"}[kind], c.ID)
			}
		}
	}
}

// channels reads the workflow and the settings that its channels need.
func (e environment) channels(s *Settings, now time.Time, faults *Faults) {
	for name := range strings.SplitSeq(cmp.Or(e.Channels, string(channel.WhatsApp)), ",") {
		c := channel.Channel(strings.TrimSpace(name))
		if !slices.Contains(channel.Sending, c) || slices.Contains(s.Channels, c) {
			faults.add("TWOFA_CHANNELS", "has to be some of whatsapp, sms, call and email, each once, comma-separated, in the order in which they are tried")
			break
		}
		s.Channels = append(s.Channels, c)
	}
	requiredAddresses(s, faults)
	phones := slices.ContainsFunc(s.Channels, func(c channel.Channel) bool { return !c.NeedsEmail() }) ||
		slices.ContainsFunc(providers, func(p provider) bool { return p.account(e) != "" })
	mail := slices.Contains(s.Channels, channel.Email) || e.SMTPURL != "" || e.EmailFrom != ""

	s.PublicURL = e.publicURL(faults)
	s.Countries = e.countries(s.Messenger == MessengerProviders && phones, faults)
	r := e.route(s.Channels, faults)
	if s.Messenger == MessengerProviders {
		s.Policy.Routes = r.routes
		e.providers(s, r, faults)
	}
	codeInSubject := yes(faults, "TWOFA_EMAIL_SUBJECT_CODE", e.EmailSubjectCode, true)
	if s.Messenger == MessengerProviders && mail {
		o := email.Options{URL: e.SMTPURL, From: e.EmailFrom, CodeInSubject: codeInSubject}
		*faults = append(*faults, o.Faults()...)
		s.Email = o
	}
	s.Texts = e.texts(s.PublicURL, faults)
	s.ExtraNumbers = e.extraNumbers(faults)
	s.TestNumbers = e.testNumbers(s.ExtraNumbers, s.Policy.Shape, now, faults)
}

// publicURL returns TWOFA_PUBLIC_URL as an origin, "" if it is not set.
func (e environment) publicURL(faults *Faults) string {
	u, err := url.Parse(e.PublicURL)
	switch {
	case e.PublicURL == "":
		return ""
	case err != nil, u.Hostname() == "", u.User != nil, strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return u.Scheme + "://" + strings.ToLower(u.Host)
	}
	faults.add("TWOFA_PUBLIC_URL", "has to be the app's own https address, without a path, like https://twofa.example.com")
	return ""
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// texts returns the settings of the messages' texts. It reads the operator's files
// once, so that their faults are reported with all other faults.
func (e environment) texts(publicURL string, faults *Faults) texts.Options {
	o := texts.Options{Dir: e.TextsDir, Origin: e.SMSOrigin, AppHash: e.SMSAppHash}
	if u, err := url.Parse(publicURL); o.Origin == "" && err == nil && u.Scheme == "https" {
		o.Origin = u.Hostname()
	}
	if e.TextsDir != "" || e.SMSOrigin != "" || e.SMSAppHash != "" {
		_, err := texts.Load(o)
		found, _ := errors.AsType[texts.Faults](err)
		for _, fault := range found {
			if !strings.HasPrefix(fault, "TWOFA_") { // it names a file and not a setting
				fault = "TWOFA_TEXTS_DIR " + fault
			}
			*faults = append(*faults, fault)
		}
	}
	return o
}

// extraNumbers reads TWOFA_EXTRA_NUMBERS.
func (e environment) extraNumbers(faults *Faults) phone.Ranges {
	ranges, err := phone.ParseRanges(e.ExtraNumbers)
	if err != nil {
		faults.add("TWOFA_EXTRA_NUMBERS", "cannot be used: %s", err)
	}
	return ranges
}

// maxTestNumbers is the longest time until the end of the test numbers, so that
// their fixed code does not stay valid by mistake.
const maxTestNumbers = 90 * 24 * time.Hour

// endings are the names of the scenarios in the setting.
var endings = map[string]otp.Ending{
	"delivered": otp.EndsDelivered, "undeliverable": otp.EndsUndeliverable, "fallback": otp.EndsFallback,
	"expired": otp.EndsExpired, "exhausted": otp.EndsExhausted,
}

// testNumbers reads, for example,
// "until=2026-12-31, code=424242, +14155550101=delivered, +14155550102=undeliverable".
// The numbers work until the end of that day, in UTC. Afterwards they are switched
// off. That is no fault, because it would stop a process that starts on the next day.
func (e environment) testNumbers(extra phone.Ranges, shape otp.Shape, now time.Time, faults *Faults) otp.TestNumbers {
	const setting = "TWOFA_TEST_NUMBERS"
	if e.TestNumbers == "" {
		return otp.TestNumbers{}
	}
	var end time.Time
	var code string
	scenarios := make(map[string]otp.Scenario)
	for entry := range strings.SplitSeq(e.TestNumbers, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(entry), "=")
		switch name {
		case "until":
			day, err := time.Parse(time.DateOnly, value)
			if end = day.AddDate(0, 0, 1); err != nil || end.Sub(now) > maxTestNumbers {
				faults.add(setting, "needs until=YYYY-MM-DD, a day that is at most 90 days away")
				return otp.TestNumbers{}
			}
		case "code":
			read, ok := otp.ReadCode(value)
			if code = read; !ok || !shape.Fits(code) {
				faults.add(setting, "needs code=… of the length and alphabet of all codes")
			}
		default:
			number, err := extra.Parse(name)
			ending, known := endings[value]
			if err != nil || !known {
				faults.add(setting, "has to be until=…, code=… and numbers like +14155550101=delivered; the endings are delivered, undeliverable, fallback, expired and exhausted")
				return otp.TestNumbers{}
			}
			scenarios[number.E164] = otp.Scenario{Ending: ending}
		}
	}
	if end.IsZero() || code == "" || len(scenarios) == 0 {
		faults.add(setting, "needs until=YYYY-MM-DD, code=… and at least one number")
	}
	if !now.Before(end) {
		return otp.TestNumbers{Until: end}
	}
	for number, s := range scenarios {
		s.Code = code
		scenarios[number] = s
	}
	return otp.TestNumbers{Scenarios: scenarios, Until: end}
}
