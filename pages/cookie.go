package pages

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"

	"twofa/internal/capability"
	"twofa/internal/otp"
	"twofa/internal/session"
)

// sessionCookie is what the cookie of a page session holds.
type sessionCookie struct {
	Session otp.Session `json:"s"`
	Browser [16]byte    `json:"b"` // random
}

// knownCookie is what the cookie of a known browser holds.
type knownCookie struct {
	ID     [8]byte  `json:"i"` // random
	Proven []proven `json:"p"` // the oldest first
}

// proven is an address that was proven in the browser for a client.
type proven struct {
	Tag [16]byte `json:"t"` // a keyed hash of client and address
	At  int64    `json:"a"` // in Unix milliseconds
}

// knownBrowser is a browser with its cookie. The zero one has none.
type knownBrowser struct{ knownCookie }

const (
	maxProven     = 10
	sessionPrefix = "session-"
	knownName     = "known"
	// keepSession is how long a browser keeps the cookie of a session: until the approval can
	// be fetched no more.
	keepSession = session.Lifetime + session.FetchFor
)

// sessionName is the name of the cookie of a session: a browser can have several.
func sessionName(s otp.Session) string { return sessionPrefix + hex.EncodeToString(s[:4]) }

// readCookies reads the cookies of the session and of the known browser.
func (v *visit) readCookies() {
	var c sessionCookie
	text := v.Cookies.Value(v.request, sessionName(v.token.Session))
	if capability.Open(v.Keys, capability.Session, text, &c) == nil && c.Session == v.token.Session {
		v.browser = session.HashOf(string(c.Browser[:]))
	}
	var k knownCookie
	if capability.Open(v.Keys, capability.Known, v.Cookies.Value(v.request, knownName), &k) == nil {
		v.known = knownBrowser{k}
	}
}

// giveSession sets the cookie of the session, unless the browser has it.
func (v *visit) giveSession() error {
	if !v.browser.IsZero() {
		return nil
	}
	c := sessionCookie{Session: v.token.Session}
	_, _ = rand.Read(c.Browser[:])
	text, err := capability.Seal(v.Keys, capability.Session, c)
	if err != nil {
		return err
	}
	v.cookies = append(v.cookies, v.Cookies.New(sessionName(c.Session), text, keepSession))
	return nil
}

// tag is a keyed hash of the client and an address. Nothing else begins with browser and a
// null byte in the index.
func (v *visit) tag(address string) [16]byte {
	sum := v.Keys.Index("browser\x00" + v.client.ID + "\x00" + address)
	return [16]byte(sum[:16])
}

// proved returns when the address was proven in this browser, zero if it was not.
func (v *visit) proved(address string) (b otp.Browser) {
	tag := v.tag(address)
	for _, p := range v.known.Proven {
		if at := time.UnixMilli(p.At); p.Tag == tag && v.now.Sub(at) < otp.KnownFor {
			b = otp.Browser{ID: v.known.ID, ProvenAt: at}
		}
	}
	return b
}

// remember adds the address to the cookie of the known browser.
func (v *visit) remember(address string, at time.Time) error {
	k := v.known.knownCookie
	if k.ID == ([8]byte{}) {
		_, _ = rand.Read(k.ID[:])
	}
	tag := v.tag(address)
	k.Proven = slices.DeleteFunc(slices.Clone(k.Proven), func(p proven) bool {
		return p.Tag == tag || v.now.Sub(time.UnixMilli(p.At)) >= otp.KnownFor
	})
	k.Proven = append(k.Proven, proven{tag, at.UnixMilli()})
	k.Proven = k.Proven[max(0, len(k.Proven)-maxProven):]
	text, err := capability.Seal(v.Keys, capability.Known, k)
	if err != nil {
		return err
	}
	v.cookies = append(v.cookies, v.Cookies.New(knownName, text, otp.KnownFor))
	return nil
}
