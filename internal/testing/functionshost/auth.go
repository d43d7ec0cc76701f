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

// Keys are the keys of a function app. The platform makes all of them; so does
// Start for those left empty.
type Keys struct {
	Master    string            // opens every function
	Host      string            // opens every function of level function
	Functions map[string]string // by function name: opens that function
}

// open reports whether the request carries a key for f. The header decides if it
// is there at all, even when it is wrong and the query has the right key.
func (k *Keys) open(f *function, r *http.Request) bool {
	if f.level == anonymous {
		return true
	}
	var key string
	if values := r.Header.Values("X-Functions-Key"); len(values) > 0 {
		key = values[0]
	} else if values := parseQuery(r.URL.RawQuery).get("code"); len(values) > 0 {
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

// complete returns the keys with a random one in every empty place. The caller's
// map is left alone.
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
