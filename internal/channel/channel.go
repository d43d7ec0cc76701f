// Package channel names the channels over which a code goes to a person, or a
// message of the person comes to the service.
package channel

// Channel is the name of a channel, as clients and settings write it.
type Channel string

// The channels.
const (
	WhatsApp Channel = "whatsapp"
	SMS      Channel = "sms"
	Call     Channel = "call" // a voice call that says the code
	Email    Channel = "email"
	Inbound  Channel = "inbound" // the person writes to the service; nothing is sent
)

// Next is what a client writes to ask for the next channel of the workflow.
const Next Channel = "next"

// Sending lists the channels that send.
var Sending = []Channel{WhatsApp, SMS, Call, Email}

// NeedsEmail reports whether the channel needs an e-mail address. All others
// need a phone number.
func (c Channel) NeedsEmail() bool { return c == Email }
