package twiliotest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/doubletest"
)

// Message is a message or a call that the double has accepted.
type Message struct {
	Channel             channel.Channel
	SID                 string // SM..., for a call CA...
	To, From            string // with the prefix "whatsapp:" on that channel
	MessagingServiceSID string
	Body                string            // empty with a template and for a call
	ContentSID          string            // empty without a template
	Variables           map[string]string // nil without a template
	ValidityPeriod      time.Duration     // 0: none
	RiskCheck           string            // SMS only. Empty: none
	Twiml               string            // calls only
	StatusCallback      string            // the URL for reports. Empty: none
	Time                time.Time
}

const whatsAppPrefix = "whatsapp:"

// Spoken is what a call says: the texts of its Say verbs, with spaces between them. It is
// empty for messages.
func (m Message) Spoken() string {
	var spoken []string
	depth := 0
	for decoder := xml.NewDecoder(strings.NewReader(m.Twiml)); ; {
		token, err := decoder.Token()
		if err != nil { // the end: the double has accepted only well-formed TwiML
			return strings.Join(spoken, " ")
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local == "Say" {
				depth++
			}
		case xml.EndElement:
			if t.Name.Local == "Say" {
				depth--
			}
		case xml.CharData:
			if depth > 0 {
				spoken = append(spoken, string(t))
			}
		}
	}
}

// wellFormed reports whether s is one XML element with the name Response.
func wellFormed(s string) bool {
	decoder := xml.NewDecoder(strings.NewReader(s))
	depth, roots := 0, 0
	for {
		token, err := decoder.Token()
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 {
				if roots++; t.Name.Local != "Response" {
					return false
				}
			}
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && strings.TrimSpace(string(t)) != "" {
				return false
			}
		}
		if err != nil {
			return err == io.EOF && roots == 1
		}
	}
}

func (m Message) sid(n int) string {
	prefix := "SM"
	if m.Channel == channel.Call {
		prefix = "CA"
	}
	return fmt.Sprintf("%s%032x", prefix, n)
}

// resource is Twilio's answer to the creation of a Call or a Message.
func (d *Double) resource(m Message, status string, errorCode int) string {
	nullable := func(zero bool, v any) any {
		if zero {
			return nil
		}
		return v
	}
	date := m.Time.UTC().Format(time.RFC1123Z)
	uri := "/2010-04-01/Accounts/" + d.account.AccountSID
	if m.Channel == channel.Call {
		uri += "/Calls/" + m.SID
		return doubletest.MustJSON(map[string]any{
			"account_sid":      d.account.AccountSID,
			"answered_by":      nil,
			"api_version":      "2010-04-01",
			"date_created":     nil,
			"date_updated":     nil,
			"direction":        "outbound-api",
			"duration":         nil,
			"from":             m.From,
			"parent_call_sid":  nil,
			"price":            nil,
			"price_unit":       "USD",
			"queue_time":       "0",
			"sid":              m.SID,
			"start_time":       nil,
			"status":           status,
			"subresource_uris": map[string]string{"events": uri + "/Events.json"},
			"to":               m.To,
			"uri":              uri + ".json",
		})
	}
	uri += "/Messages/" + m.SID
	return doubletest.MustJSON(map[string]any{
		"account_sid":           d.account.AccountSID,
		"api_version":           "2010-04-01",
		"body":                  m.Body,
		"date_created":          date,
		"date_sent":             nil,
		"date_updated":          date,
		"direction":             "outbound-api",
		"error_code":            nullable(errorCode == 0, errorCode),
		"error_message":         nullable(errorCode == 0, "Delivery to "+m.To+" failed: "+m.Body),
		"from":                  nullable(m.From == "", m.From),
		"messaging_service_sid": nullable(m.MessagingServiceSID == "", m.MessagingServiceSID),
		"num_media":             "0",
		"num_segments":          "1",
		"price":                 nil,
		"price_unit":            nil,
		"sid":                   m.SID,
		"status":                status,
		"subresource_uris":      map[string]string{"media": uri + "/Media.json"},
		"to":                    m.To,
		"uri":                   uri + ".json",
	})
}
