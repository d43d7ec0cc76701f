package config

import "reflect"

// Names is the variables that environment reads.
func Names() []string {
	var names []string
	for i, t := 0, reflect.TypeFor[environment](); i < t.NumField(); i++ {
		names = append(names, t.Field(i).Tag.Get("envconfig"))
	}
	return names
}
