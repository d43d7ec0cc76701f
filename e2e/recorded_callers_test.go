package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// The requests of the recorded session about callers, in order: addresses that people typed,
// alerts and unlocks, and, after a restart, clients.

var typedSteps = []step{
	ask("a stranger types a number", "POST /api/otpsend").json(`{"to":"+14155550190","origin":"typed","client_ip":"203.0.113.7"}`).as("typed"),
	ask("the server knows it, too", "POST /api/otpsend").json(`{"to":"+14155550190","origin":"server"}`).as("ours"),
	ask("no such origin", "POST /api/otpsend").json(`{"to":"+14155550190","origin":"known"}`),
	ask("look up what was typed", "GET /api/otpsend/<typed.id>"),
	ask("resend it, as the server's", "POST /api/otpsend/<typed.id>").json(`{"origin":"server"}`),
	ask("resend it", "POST /api/otpsend/<typed.id>").json(`{"client_ip":"203.0.113.7, 10.0.0.1"}`),
	ask("one network has had its two", "POST /api/otpsend/<typed.id>").json(`{"origin":"typed","client_ip":"203.0.113.99:4711"}`),
	ask("a start from there, by a form", "POST /api/otpsend").form(`to=%2B14155550190&origin=typed&client_ip=203.0.113.8&purpose=pay`),
	ask("another network", "POST /api/otpsend").json(`{"to":"+14155550190","origin":"typed","client_ip":"::ffff:198.51.100.7"}`).as("again"),
	ask("no network", "POST /api/otpsend").json(`{"to":"+14155550190","origin":"typed","client_ip":"home"}`).as("nowhere"),
	ask("the server's code, as a typed one", "POST /api/otpverify").json(`{"to":"+14155550190","origin":"typed","code":"<ours.code>"}`),
	ask("wrong codes until none is left", "POST /api/otpverify").json(`{"to":"+14155550190","origin":"typed","code":"<nowhere.wrong>"}`).repeat(4),
	ask("the right one is too late", "POST /api/otpverify").json(`{"id":"<nowhere.id>","code":"<nowhere.code>"}`),
	ask("the server's code", "POST /api/otpverify").json(`{"to":"+14155550190","code":"<ours.code>"}`),
}

var alertsSteps = []step{
	ask("register", "PUT /api/users/dora").json(`{"phone":"+14155550191","locale":"de"}`),
	ask("no alert to a number that is not proven", "POST /api/users/dora/alerts").json(`{"event":"new_sign_in"}`),
	ask("nothing to unlock", "DELETE /api/users/dora/locks"),
	ask("start", "POST /api/otpsend").json(`{"user":"dora"}`).as("dora"),
	ask("the right code", "POST /api/otpverify").json(`{"user":"dora","code":"<dora.code>"}`),
	ask("an alert", "POST /api/users/dora/alerts").json(`{"event":"new_sign_in","detail":{"place":"São Paulo","device":"Pixel 8"}}`),
	ask("the same event again", "POST /api/users/dora/alerts").json(`{"event":"new_sign_in"}`),
	ask("another event, by a form", "POST /api/users/dora/alerts").form(`event=wrong_password&detail.place=Rome`),
	ask("a link", "POST /api/users/dora/alerts").json(`{"event":"other","detail":{"device":"evil.example"}}`),
	ask("a code", "POST /api/users/dora/alerts").json(`{"event":"other","detail":{"place":"482913"}}`),
	ask("no such event", "POST /api/users/dora/alerts").json(`{"event":"password"}`),
	ask("warn nobody", "POST /api/users/nobody/alerts").json(`{"event":"other"}`),
	ask("alerts are posted", "GET /api/users/dora/alerts"),
	ask("start", "POST /api/otpsend").json(`{"user":"dora"}`).as("dora"),
	ask("wrong codes until none is left", "POST /api/otpverify").json(`{"user":"dora","code":"<dora.wrong>"}`).repeat(5),
	ask("start again", "POST /api/otpsend").json(`{"user":"dora"}`).as("dora"),
	ask("wrong codes until the day's are spent", "POST /api/otpverify").json(`{"user":"dora","code":"<dora.wrong>"}`).repeat(5),
	ask("locked", "POST /api/otpsend").json(`{"user":"dora"}`),
	ask("unlock", "DELETE /api/users/dora/locks"),
	ask("start once more", "POST /api/otpsend").json(`{"user":"dora"}`).as("dora"),
	ask("the right code", "POST /api/otpverify").json(`{"user":"dora","code":"<dora.code>"}`),
	ask("unlock three times a day", "DELETE /api/users/dora/locks").repeat(3),
	ask("unlock nobody", "DELETE /api/users/nobody/locks"),
	ask("locks are deleted", "POST /api/users/dora/locks").json(`{}`),
}

// sessionSecret is the secret of a client of the session.
func sessionSecret(id string) string { return "the secret of " + id }

// sessionClients is a value of TWOFA_CLIENTS. Bank has the users of before, shop has its own.
func sessionClients() string {
	hash := func(id string) string {
		sum := sha256.Sum256([]byte(sessionSecret(id)))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	return fmt.Sprintf(`[{"id":"bank","secrets":["%s"],"scopes":["send","check","users","alerts"],"brand":"Acme Bank","countries":["US"]},`+
		`{"id":"shop","secrets":["%s"],"scopes":["send","check","users:read"],"directory":"shop"}]`, hash("bank"), hash("shop"))
}

// withoutTypedLimits are the settings of a phase with these clients, "" for none. Without
// limits over all typed addresses, no counters are read beside the row, so the number of round
// trips of a refusal does not depend on how many of these reads had begun.
func withoutTypedLimits(clients string) map[string]string {
	settings := map[string]string{
		"TWOFA_MAX_PAGE_SENDS_PER_IP": "0", "TWOFA_MAX_PAGE_SENDS_PER_IP_PER_DAY": "0", "TWOFA_MAX_ANONYMOUS_SENDS_PER_DAY": "0",
	}
	if clients != "" {
		settings["TWOFA_CLIENTS"] = clients
	}
	return settings
}

// by is a step with the credentials of a client.
func (s step) by(id string) step {
	return s.with("Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+sessionSecret(id))))
}

// clientsSteps follow a restart with clients.
var clientsSteps = []step{
	ask("no credentials", "POST /api/otpsend").json(`{"to":"+14155550195"}`),
	ask("a wrong secret", "POST /api/otpsend").json(`{"to":"+14155550195"}`).with("Authorization: Basic YmFuazp4"),
	ask("no such path, without credentials", "GET /api/nowhere"),
	ask("a client starts", "POST /api/otpsend").json(`{"to":"+14155550195"}`).by("bank").as("bank"),
	ask("another client starts", "POST /api/otpsend").json(`{"to":"+14155550195"}`).by("shop").as("shop"),
	ask("look up another client's", "GET /api/otpsend/<bank.id>").by("shop"),
	ask("resend another client's", "POST /api/otpsend/<bank.id>").by("shop"),
	ask("cancel another client's", "DELETE /api/otpsend/<bank.id>").by("shop"),
	ask("the code of another client", "POST /api/otpverify").json(`{"id":"<bank.id>","code":"<bank.code>"}`).by("shop"),
	ask("the code of another client, by number", "POST /api/otpverify").json(`{"to":"+14155550195","code":"<bank.code>"}`).by("shop"),
	ask("the own code", "POST /api/otpverify").json(`{"to":"+14155550195","code":"<shop.code>"}`).by("shop"),
	ask("the own code of the first one", "POST /api/otpverify").json(`{"to":"+14155550195","code":"<bank.code>"}`).by("bank"),
	ask("a verification from before there were clients", "GET /api/otpsend/<ours.id>").by("bank"),
	ask("a country that this client does not send to", "POST /api/otpsend").json(`{"to":"+4915123456789"}`).by("bank"),
	ask("a scope that this client does not have", "PUT /api/users/dora").json(`{"phone":"+14155550191"}`).by("shop"),
	ask("a user of before", "GET /api/users/dora").by("bank"),
	ask("a user of another directory", "GET /api/users/dora").by("shop"),
	ask("a code for a user of another directory", "POST /api/otpsend").json(`{"user":"dora"}`).by("shop"),
	ask("shop's form", "POST /api/otpsend").json(`{"to":"+14155550196","origin":"typed"}`).by("shop"),
	ask("bank's form", "POST /api/otpsend").json(`{"to":"+14155550196","origin":"typed"}`).by("bank"),
	ask("what all share is used up", "POST /api/otpsend").json(`{"to":"+14155550196","origin":"typed"}`).by("bank"),
	ask("bank's server has its own", "POST /api/otpsend").json(`{"to":"+14155550196"}`).by("bank"),
}
