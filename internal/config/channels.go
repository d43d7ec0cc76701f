package config

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"twofa/internal/notify"
	"twofa/internal/notify/email"
	"twofa/internal/notify/twilio"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/texts"
)

// channels reads the workflow, and what each channel needs.
func (e environment) channels(s *Settings, now time.Time, faults *Faults) {
	for name := range strings.SplitSeq(cmp.Or(e.Channels, string(notify.WhatsApp)), ",") {
		channel := notify.Channel(strings.TrimSpace(name))
		if !slices.Contains(notify.Channels, channel) || slices.Contains(s.Channels, channel) {
			faults.add("TWOFA_CHANNELS", "has to be some of whatsapp, sms, call and email, each once, comma-separated, in the order in which they are tried")
			break
		}
		s.Channels = append(s.Channels, channel)
	}
	byPhone := func(c notify.Channel) bool { return c != notify.Email }
	provider := slices.ContainsFunc(s.Channels, byPhone) || e.TwilioAccountSID != ""
	mail := slices.Contains(s.Channels, notify.Email) || e.SMTPURL != "" || e.EmailFrom != ""

	s.PublicURL = e.publicURL(faults)
	s.Countries = e.countries(s.Messenger == MessengerTwilio && provider, faults)
	if s.Messenger == MessengerTwilio && provider {
		s.Twilio = e.twilio(s, faults)
	}
	if s.Messenger == MessengerTwilio && mail {
		o := email.Options{URL: e.SMTPURL, From: e.EmailFrom}
		*faults = append(*faults, o.Faults()...)
		s.Email = o
	}
	s.Texts = e.texts(s.PublicURL, faults)
	s.Scripts, s.ScriptsEnd = e.testNumbers(s.Policy.Shape, now, faults)
}

// publicURL is the origin under which the internet reaches the service.
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

// twilio takes the provider's settings over; what is wrong with them is for the
// messenger's own package to say.
func (e environment) twilio(s *Settings, faults *Faults) twilio.Options {
	o := twilio.Options{
		AccountSID: e.TwilioAccountSID, AuthToken: e.TwilioAuthToken,
		APIKey: e.TwilioAPIKey, APISecret: e.TwilioAPISecret,
		WhatsAppFrom: strings.TrimPrefix(e.TwilioWhatsAppFrom, "whatsapp:"),
		SMSFrom:      e.TwilioSMSFrom, VoiceFrom: e.TwilioVoiceFrom,
		MessagingServiceSID: e.TwilioMessagingServiceSID,
		ContentSID:          e.TwilioContentSID, AlertContentSID: e.TwilioAlertContentSID,
		PublicURL: s.PublicURL, BaseURL: e.TwilioBaseURL, Channels: s.Channels,
	}
	*faults = append(*faults, o.Faults()...)
	return o
}

// texts says what the messages say. The operator's files are read here once, so
// that what is wrong with them is told with all other faults.
func (e environment) texts(publicURL string, faults *Faults) texts.Options {
	o := texts.Options{Dir: e.TextsDir, Origin: e.SMSOrigin, AppHash: e.SMSAppHash}
	if u, err := url.Parse(publicURL); o.Origin == "" && err == nil && u.Scheme == "https" {
		o.Origin = u.Hostname()
	}
	if e.TextsDir != "" || e.SMSOrigin != "" || e.SMSAppHash != "" {
		_, err := texts.Load(o)
		found, _ := errors.AsType[texts.Faults](err)
		for _, fault := range found {
			if !strings.HasPrefix(fault, "TWOFA_") { // it is in a file, which it names
				fault = "TWOFA_TEXTS_DIR " + fault
			}
			*faults = append(*faults, fault)
		}
	}
	return o
}

// maxScripted is how far away the end of the test numbers may be, so that a
// fixed code is not forgotten.
const maxScripted = 90 * 24 * time.Hour

// endings are the scripts by their names in the setting.
var endings = map[string]otp.Ending{
	"delivered": otp.EndsDelivered, "undeliverable": otp.EndsUndeliverable, "fallback": otp.EndsFallback,
	"expired": otp.EndsExpired, "exhausted": otp.EndsExhausted,
}

// testNumbers reads, for example,
// "until=2026-12-31, code=424242, +14155550101=delivered, +14155550102=undeliverable".
// The numbers work until the end of that day, in UTC.
func (e environment) testNumbers(shape otp.Shape, now time.Time, faults *Faults) (map[string]otp.Script, time.Time) {
	const setting = "TWOFA_TEST_NUMBERS"
	if e.TestNumbers == "" {
		return nil, time.Time{}
	}
	var end time.Time
	var code string
	scripts := make(map[string]otp.Script)
	for entry := range strings.SplitSeq(e.TestNumbers, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(entry), "=")
		switch name {
		case "until":
			day, err := time.Parse(time.DateOnly, value)
			if end = day.AddDate(0, 0, 1); err != nil || !now.Before(end) || end.Sub(now) > maxScripted {
				faults.add(setting, "needs until=YYYY-MM-DD, a day that is not past and at most 90 days away")
				return nil, time.Time{}
			}
		case "code":
			read, ok := otp.ReadCode(value)
			if code = read; !ok || !shape.Fits(code) {
				faults.add(setting, "needs code=… of the length and alphabet of all codes")
			}
		default:
			number, err := phone.Parse(name)
			ending, known := endings[value]
			if err != nil || !known {
				faults.add(setting, "has to be until=…, code=… and numbers like +14155550101=delivered; the endings are delivered, undeliverable, fallback, expired and exhausted")
				return nil, time.Time{}
			}
			scripts[number.E164] = otp.Script{Ending: ending}
		}
	}
	if end.IsZero() || code == "" || len(scripts) == 0 {
		faults.add(setting, "needs until=YYYY-MM-DD, code=… and at least one number")
	}
	for number, s := range scripts {
		s.Code = code
		scripts[number] = s
	}
	return scripts, end
}
