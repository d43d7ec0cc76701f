package notifytest

import (
	"fmt"

	"twofa/internal/notify"
)

// Texts are texts that show all values of a message, so that a test notices a lost one.
// They are the Texts of every sender.
type Texts struct{}

// Chat is a WhatsApp message.
func (Texts) Chat(m notify.Message) string { return text("Chat", m) }

// SMS is a text message.
func (Texts) SMS(m notify.Message) string { return text("SMS", m) }

// Speech is what a call says. No provider has a voice for the language of the locale "xx".
func (Texts) Speech(m notify.Message) notify.Speech {
	if m.Alert {
		return notify.Speech{Language: "en-GB", Before: "Spoken " + alertName(m) + " of " + m.Brand, Again: "never", After: "never"}
	}
	language := "en-GB"
	if m.Locale == "xx" {
		language = "xx-XX"
	}
	return notify.Speech{Language: language, Before: "Your " + m.Brand + " code " + m.Amount + m.Payee, Again: "Again", After: "Goodbye"}
}

func text(kind string, m notify.Message) string {
	if m.Alert {
		return kind + " " + alertName(m) + " of " + m.Brand
	}
	text := kind + ": " + m.Code + " is your " + m.Brand + " code"
	if m.Amount != "" {
		text += " to approve a payment of " + m.Amount + " to " + m.Payee
	}
	return text + fmt.Sprintf(". Valid for %d minutes. Do not share it with anyone.", int(m.ValidFor.Minutes()))
}

func alertName(m notify.Message) string {
	if m.Event != "" {
		return "event " + string(m.Event) + " in " + m.Place
	}
	if m.Notice != "" {
		return "notice " + string(m.Notice)
	}
	return "alert"
}
