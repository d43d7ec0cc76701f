package visit

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

// knownCookie is what the cookie of a known browser holds. The zero one is of a browser without.
type knownCookie struct {
	ID     [8]byte  `json:"i"` // random
	Proven []proven `json:"p"` // the oldest first
}

// proven is an address that was proven in the browser for a client.
type proven struct {
	Tag [16]byte `json:"t"` // a keyed hash of client and address
	At  int64    `json:"a"` // in Unix milliseconds
}

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
func (v *Visit) readCookies() {
	var c sessionCookie
	text := v.Cookies.Value(v.Request, sessionName(v.Token.Session))
	if capability.Open(v.Keys, capability.Session, text, &c) == nil && c.Session == v.Token.Session {
		v.Browser = session.HashOf(string(c.Browser[:]))
	}
	var k knownCookie
	if capability.Open(v.Keys, capability.Known, v.Cookies.Value(v.Request, knownName), &k) == nil {
		v.known = k
	}
}

// GiveSession sets the cookie of the session, unless the browser has it.
func (v *Visit) GiveSession() error {
	if !v.Browser.IsZero() {
		return nil
	}
	c := sessionCookie{Session: v.Token.Session}
	_, _ = rand.Read(c.Browser[:])
	text, err := capability.Seal(v.Keys, capability.Session, c)
	if err != nil {
		return err
	}
	v.NewCookies = append(v.NewCookies, v.Cookies.New(sessionName(c.Session), text, keepSession))
	v.Browser = session.HashOf(string(c.Browser[:]))
	return nil
}

// tag is a keyed hash of the client and an address. Nothing else begins with browser and a
// null byte in the index.
func (v *Visit) tag(address string) [16]byte {
	sum := v.Keys.Index("browser\x00" + v.Client.ID + "\x00" + address)
	return [16]byte(sum[:16])
}

// Known is the id of the known browser, zero if the request has none.
func (v *Visit) Known() [8]byte { return v.known.ID }

// Proved returns when the address was proven in this browser for this client, zero if it was
// not.
func (v *Visit) Proved(address string) (b otp.Browser) {
	tag := v.tag(address)
	for _, p := range v.known.Proven {
		if at := time.UnixMilli(p.At); p.Tag == tag && v.Now.Sub(at) < otp.KnownFor {
			b = otp.Browser{ID: v.known.ID, ProvenAt: at}
		}
	}
	return b
}

// Remember adds an address that was proven at that time to the cookie of the known browser.
func (v *Visit) Remember(address string, at time.Time) error {
	k := v.known
	if k.ID == ([8]byte{}) {
		_, _ = rand.Read(k.ID[:])
	}
	tag := v.tag(address)
	k.Proven = slices.DeleteFunc(slices.Clone(k.Proven), func(p proven) bool {
		return p.Tag == tag || v.Now.Sub(time.UnixMilli(p.At)) >= otp.KnownFor
	})
	k.Proven = append(k.Proven, proven{tag, at.UnixMilli()})
	k.Proven = k.Proven[max(0, len(k.Proven)-maxProven):]
	text, err := capability.Seal(v.Keys, capability.Known, k)
	if err != nil {
		return err
	}
	v.NewCookies = append(v.NewCookies, v.Cookies.New(knownName, text, otp.KnownFor))
	return nil
}
