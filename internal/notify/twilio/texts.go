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
