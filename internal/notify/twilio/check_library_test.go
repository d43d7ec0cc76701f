package twilio

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twilio/twilio-go/client"
	openapi "github.com/twilio/twilio-go/rest/api/v2010"
	messaging "github.com/twilio/twilio-go/rest/messaging/v1"

	"twofa/internal/testing/twiliotest"
)

// reads is a transport that records what is read, from which host and with which user. The
// requests themselves go to the double.
type reads struct {
	host string // the double's
	mu   sync.Mutex
	seen map[string]bool
}

func (r *reads) RoundTrip(req *http.Request) (*http.Response, error) {
	user, _, _ := req.BasicAuth()
	r.mu.Lock()
	r.seen[req.Method+" "+req.URL.String()+" by "+user] = true
	r.mu.Unlock()
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host, out.Host = "http", r.host, ""
	return http.DefaultTransport.RoundTrip(out)
}

// A check, which makes its requests itself, asks for the same as Twilio's library.
func TestCheckAsksAsTheLibraryDoes(t *testing.T) {
	server := twiliotest.Start(twiliotest.Account{})
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	ours, library := &reads{host: host, seen: make(map[string]bool)}, &reads{host: host, seen: make(map[string]bool)}

	o := checkOptions("")
	withKey(&o)
	o.Transport = ours
	show(t, o.Check(t.Context()))

	handler := func(user, password string) *client.RequestHandler {
		c := &client.Client{Credentials: client.NewCredentials(user, password), HTTPClient: &http.Client{Transport: library}}
		c.SetAccountSid(twiliotest.AccountSID)
		return &client.RequestHandler{Client: c}
	}
	byToken, byKey := handler(twiliotest.AccountSID, twiliotest.AuthToken), handler(twiliotest.APIKey, twiliotest.APISecret)
	numbers := func(number string) error {
		p := new(openapi.ListIncomingPhoneNumberParams).SetPageSize(1)
		if number != "" {
			p.SetPhoneNumber(number)
		}
		_, err := openapi.NewApiService(byKey).PageIncomingPhoneNumber(p, "", "")
		return err
	}
	_, errAccount := openapi.NewApiService(byToken).FetchAccount(twiliotest.AccountSID)
	_, errService := messaging.NewApiService(byKey).FetchService(twiliotest.MessagingServiceSID)
	for _, err := range []error{errAccount, errService, numbers(""), numbers(twiliotest.SMSFrom), numbers(twiliotest.VoiceFrom)} {
		if err != nil {
			t.Error(err)
		}
	}
	if got, want := slices.Sorted(maps.Keys(ours.seen)), slices.Sorted(maps.Keys(library.seen)); !slices.Equal(got, want) || len(want) != 5 {
		t.Errorf("got\n%q\nthe library asks\n%q", got, want)
	}
}
