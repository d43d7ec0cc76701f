package twilio

import "twofa/internal/notify"

// Texts words a message for each of the channels. Its answers go to Twilio as
// they are; only calls escape and shorten them, for TwiML's sake.
type Texts interface {
	// Chat is a WhatsApp message, at most 1,600 characters.
	Chat(notify.Message) string
	// SMS is a text message, at most 1,600 characters.
	SMS(notify.Message) string
	// Speech is what a call says.
	Speech(notify.Message) notify.Speech
}

// plainTexts stands in where Options have no Texts.
//
// TODO: remove it, and make missing Texts a fault, as soon as main passes some.
type plainTexts struct{}

func (plainTexts) Chat(m notify.Message) string {
	if m.Alert {
		return "Somebody has entered wrong codes for your " + m.Brand + " account."
	}
	return notify.Text(m)
}

func (p plainTexts) SMS(m notify.Message) string { return p.Chat(m) }

func (p plainTexts) Speech(m notify.Message) notify.Speech {
	if m.Alert {
		return notify.Speech{Language: "en-US", Before: p.Chat(m)}
	}
	return notify.Speech{Language: "en-US", Before: "Your " + m.Brand + " code is:", Again: "Again:"}
}
