package config_test

import (
	"strings"
	"testing"
)

// Storage and providers are reached over https or loopback, unless the operator allows plain
// http. The fault names the setting that is wrong, and the one that allows it.
func TestR22_PlainHTTPBeyondLoopbackIsAFault(t *testing.T) {
	const key = "AccountName=canary;AccountKey=Y2FuYXJ5;"
	twilio := []setting{
		{"TWOFA_MESSENGER", "twilio"}, {"TWILIO_ACCOUNT_SID", "AC" + strings.Repeat("0", 32)}, {"TWILIO_AUTH_TOKEN", "token"},
		{"TWILIO_WHATSAPP_FROM", "+14155238886"}, {"TWOFA_COUNTRIES", "*"},
	}
	for _, c := range []struct {
		setting
		more      []setting
		permitted bool // without TWOFA_ALLOW_PLAIN_HTTP, too
	}{
		{setting{"TWOFA_TABLES_CONNECTION", key + "TableEndpoint=http://10.0.0.4:10002/acct"}, nil, false},
		{setting{"TWOFA_TABLES_CONNECTION", key + "DefaultEndpointsProtocol=http"}, nil, false},
		{setting{"TWOFA_TABLES_CONNECTION", "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite"}, nil, false},
		{setting{"TWOFA_TABLES_CONNECTION", key + "TableEndpoint=http://127.0.0.1:10002/acct"}, nil, true},
		{setting{"TWOFA_TABLES_CONNECTION", key}, nil, true},
		{setting{"AzureWebJobsStorage", key + "TableEndpoint=http://10.0.0.4:10002/acct"}, nil, false},
		{setting{"AzureWebJobsStorage", "UseDevelopmentStorage=true"}, nil, true},
		{setting{"TWILIO_BASE_URL", "http://10.0.0.4:4010"}, twilio, false},
		{setting{"TWILIO_BASE_URL", "http://canary.example"}, twilio, false},
		{setting{"TWILIO_BASE_URL", "http://127.0.0.1:4010"}, twilio, true},
		{setting{"TWILIO_BASE_URL", "https://proxy.example"}, twilio, true},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			settings := append([]setting{{"TWOFA_SECRET", secret1}, c.setting}, c.more...)
			if c.more == nil {
				settings = append(settings, setting{"TWOFA_STORE", "azure"}, setting{"TWOFA_MESSENGER", "console"})
			}
			_, err := load(t, settings...)
			if c.permitted && err != nil {
				t.Errorf("got %v", err)
			} else if !c.permitted {
				wantFault(t, err, c.name, "TWOFA_ALLOW_PLAIN_HTTP=true")
				if err != nil && strings.Contains(err.Error(), "canary") {
					t.Errorf("the fault quotes a value: %v", err)
				}
			}
			if _, err := load(t, append(settings, setting{"TWOFA_ALLOW_PLAIN_HTTP", "true"})...); err != nil {
				t.Errorf("allowed: %v", err)
			}
		})
	}
}
