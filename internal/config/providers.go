package config

import (
	"slices"
	"strings"

	"twofa/internal/channel"
	"twofa/internal/notify/bird"
	"twofa/internal/notify/plivo"
	"twofa/internal/notify/twilio"
)

// providers reads the settings of the providers that are in use: those that a channel goes over,
// and those that have an account. Their faults are found by the packages of the providers.
func (e environment) providers(s *Settings, r routed, faults *Faults) {
	for _, p := range providers {
		channels := r.channels[p.name]
		if len(channels) == 0 && p.account(e) == "" {
			continue
		}
		if !r.has(p.name) {
			s.Unrouted = append(s.Unrouted, p.name)
		}
		*faults = append(*faults, p.read(e, s, channels)...)
	}
}

// has reports whether a channel goes over the provider.
func (r routed) has(name string) bool {
	if r.routes == nil {
		return name == channel.Twilio
	}
	for _, names := range r.routes {
		if slices.Contains(names, name) {
			return true
		}
	}
	return false
}

func (e environment) twilio(s *Settings, channels []channel.Channel) (faults []string) {
	s.Twilio = twilio.Options{
		AccountSID: e.TwilioAccountSID, AuthToken: e.TwilioAuthToken,
		APIKey: e.TwilioAPIKey, APISecret: e.TwilioAPISecret,
		WhatsAppFrom: strings.TrimPrefix(e.TwilioWhatsAppFrom, "whatsapp:"),
		SMSFrom:      e.TwilioSMSFrom, VoiceFrom: e.TwilioVoiceFrom,
		MessagingServiceSID: e.TwilioMessagingServiceSID,
		ContentSID:          e.TwilioContentSID, AlertContentSID: e.TwilioAlertContentSID,
		PublicURL: s.PublicURL, BaseURL: e.TwilioBaseURL, AllowPlainHTTP: s.AllowPlainHTTP, Channels: channels,
	}
	return s.Twilio.Faults()
}

func (e environment) plivo(s *Settings, channels []channel.Channel) (faults []string) {
	s.Plivo = plivo.Options{
		AuthID: e.PlivoAuthID, AuthToken: e.PlivoAuthToken,
		WhatsAppFrom: e.PlivoWhatsAppFrom, SMSFrom: e.PlivoSMSFrom, PowerpackUUID: e.PlivoPowerpackUUID, CallFrom: e.PlivoCallFrom,
		WhatsAppTemplate: e.PlivoWhatsAppTemplate, WhatsAppAlertTemplate: e.PlivoWhatsAppAlertTemplate,
		DLTEntityID: e.PlivoDLTEntityID, DLTTemplateID: e.PlivoDLTTemplateID, DLTTemplateCategory: e.PlivoDLTTemplateCategory,
		PublicURL: s.PublicURL, BaseURL: e.PlivoBaseURL, AllowPlainHTTP: s.AllowPlainHTTP, Channels: channels,
	}
	return s.Plivo.Faults()
}

func (e environment) bird(s *Settings, channels []channel.Channel) (faults []string) {
	s.Bird = bird.Options{
		APIKey: e.BirdAPIKey, WebhookSecret: e.BirdWebhookSecret, WhatsAppFrom: e.BirdWhatsAppFrom, SMSFrom: e.BirdSMSFrom,
		WhatsAppTemplate: e.BirdWhatsAppTemplate, WhatsAppAlertTemplate: e.BirdWhatsAppAlertTemplate,
		PublicURL: s.PublicURL, BaseURL: e.BirdBaseURL, AllowPlainHTTP: s.AllowPlainHTTP, Channels: channels,
	}
	return s.Bird.Faults()
}
