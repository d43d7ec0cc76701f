package client

import (
	"maps"
	"slices"
)

// Parse is parse.
var Parse = parse

// Fields returns the names of all fields of an entry, sorted.
func Fields() []string { return slices.Sorted(maps.Keys(rules)) }
