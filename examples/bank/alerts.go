package main

import (
	"context"
	"strings"
	"time"
)

// The events that customers are warned of.
const (
	eventPassword = "wrong_password"
	eventSignIn   = "new_sign_in"
)

const (
	// maxAlert is how long an alert may take.
	maxAlert = 10 * time.Second
	// maxWarnings is how many alerts are on their way at once. Further ones are dropped: they
	// are a courtesy, and twofa sends at most three a day to a person.
	maxWarnings = 4
)

// warn has twofa warn a customer. It returns at once, so a login neither waits for the alert nor
// fails with it, and takes as long for a name that does not exist. The program waits for
// b.warnings before it ends.
func (b *bank) warn(name, event, userAgent string) {
	select {
	case b.warning <- struct{}{}:
	default:
		b.log.Warn("alert dropped: too many at once", "event", event)
		return
	}
	b.warnings.Go(func() {
		defer func() { <-b.warning }()
		ctx, cancel := context.WithTimeout(context.Background(), maxAlert) // the request may end before
		defer cancel()
		_, _ = b.twofa.alert(ctx, name, event, device(userAgent)) // it logs its errors; 429 means that the person was warned before
	})
}

// warnOfPassword warns a customer of a wrong password. A name without an account warns nobody.
func (b *bank) warnOfPassword(name, userAgent string) {
	if found, ok := b.accounts.find(name); ok {
		b.warn(found.Name, eventPassword, userAgent)
	}
}

// named is what a part of a User-Agent says.
type named struct{ part, name string }

// browsers and systems are looked for in this order: most browsers also name others.
var (
	browsers = []named{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"Chrome/", "Chrome"}, {"CriOS/", "Chrome"}, {"Safari/", "Safari"},
	}
	systems = []named{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Macintosh", "Mac"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	}
)

// device is a name for a browser, such as "Firefox on Windows", "" if it is not in the tables.
// The header itself is the caller's own text: in a warning that people trust, it could say
// anything.
func device(userAgent string) string {
	find := func(in []named) string {
		for _, n := range in {
			if strings.Contains(userAgent, n.part) {
				return n.name
			}
		}
		return ""
	}
	browser, system := find(browsers), find(systems)
	if browser == "" || system == "" {
		return ""
	}
	return browser + " on " + system
}
