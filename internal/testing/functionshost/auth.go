package functionshost

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"strings"
)

type authLevel int

const (
	functionLevel authLevel = iota
	anonymous
	admin
)

func parseAuthLevel(s string) (authLevel, error) {
	switch strings.ToLower(s) {
	case "", "function": // the host's default
		return functionLevel, nil
	case "anonymous":
		return anonymous, nil
	case "admin":
		return admin, nil
	}
	return 0, fmt.Errorf("authLevel %s is not covered by this stand-in", s)
}

// Keys are the keys of a function app. The platform generates all keys. Start generates
// the keys that are empty.
type Keys struct {
	Master    string            // opens every function
	Host      string            // opens every function of level function
	Functions map[string]string // by function name: opens that function
}

// allow reports whether f needs no key or the request has a key for f. If the request has
// the header, only the header counts, even if it is empty and the query has a right key.
func (k *Keys) allow(f *function, header http.Header, query string) bool {
	if f.level == anonymous {
		return true
	}
	key := queryValue(query, "code")
	if values := header.Values("X-Functions-Key"); len(values) > 0 {
		key = values[0]
	}
	switch {
	case key == "":
		return false
	case key == k.Master:
		return true
	case f.level == admin:
		return false
	}
	return key == k.Host || key == k.Functions[f.name]
}

// complete returns the keys with a random key in every empty place. It does not change the
// caller's map.
func (k Keys) complete(functions []*function) Keys {
	if k.Master == "" {
		k.Master = rand.Text()
	}
	if k.Host == "" {
		k.Host = rand.Text()
	}
	given := k.Functions
	k.Functions = make(map[string]string)
	maps.Copy(k.Functions, given)
	for _, f := range functions {
		if !f.timer && k.Functions[f.name] == "" {
			k.Functions[f.name] = rand.Text()
		}
	}
	return k
}
