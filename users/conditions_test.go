package users_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"twofa/internal/testing/fixture"
	"twofa/users"
)

func TestReadTags(t *testing.T) {
	for value, want := range map[string][]string{
		`*`:                                {"*"},
		` * `:                              {"*"},
		`"0123456789abcdef"`:               {`"0123456789abcdef"`},
		`""`:                               {`""`},
		`"a","b"`:                          {`"a"`, `"b"`},
		"\t\"a\" ,\t \"b\" ":               {`"a"`, `"b"`},
		`, "a",, ,"b",`:                    {`"a"`, `"b"`}, // RFC 9110, 5.6.1.2: empty elements are none
		`W/"a"`:                            {`W/"a"`},
		`"a", W/"b"`:                       {`"a"`, `W/"b"`},
		`"a,b"`:                            {`"a,b"`},
		`"*"`:                              {`"*"`},
		`"\"`:                              {`"\"`}, // no escapes in an entity tag
		"\"\xe9\"":                         {"\"\xe9\""},
		"":                                 nil,
		" ":                                nil,
		",":                                nil,
		"0123456789abcdef":                 nil, // without its quotes
		`"a`:                               nil,
		`a"`:                               nil,
		`"`:                                nil,
		`"a" "b"`:                          nil,
		`"a""b"`:                           nil,
		`"a"b`:                             nil,
		`*, "a"`:                           nil,
		`"a", *`:                           nil,
		`**`:                               nil,
		`w/"a"`:                            nil, // RFC 9110, 8.8.3: W is case-sensitive
		`W/ "a"`:                           nil,
		`W/`:                               nil,
		`"a b"`:                            nil,
		"\"a\tb\"":                         nil,
		"\"a\x7f\"":                        nil,
		"\"a\x00\"":                        nil,
		`'a'`:                              nil,
		`Sat, 29 Oct 1994 19:43:31 GMT`:    nil,
		`"` + strings.Repeat("a", 9) + `,`: nil,
	} {
		got, ok := users.ReadTags(value)
		if ok != (want != nil) || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, %v; want %q", value, got, ok, want)
		}
	}
}

func TestConditions_AFaultNamesTheHeaderAndQuotesNothing(t *testing.T) {
	for _, tc := range []struct {
		cond users.Conditions
		want []string
	}{
		{users.Conditions{}, nil},
		{users.Conditions{IfMatch: `"a"`, IfNoneMatch: "*"}, nil},
		{users.Conditions{IfMatch: "canary"}, []string{"If-Match"}},
		{users.Conditions{IfNoneMatch: "canary"}, []string{"If-None-Match"}},
		{users.Conditions{IfMatch: " ", IfNoneMatch: "canary"}, []string{"If-Match", "If-None-Match"}},
	} {
		var got []string
		for _, f := range fixture.Fields(tc.cond.Fault()) {
			got = append(got, f.Name)
			if strings.Contains(f.Message, "canary") {
				t.Errorf("%+v: %s", tc.cond, f.Message)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%+v: faults of %q, want %q", tc.cond, got, tc.want)
		}
	}
}

func FuzzReadTags(f *testing.F) {
	for _, s := range []string{"", "*", `"a"`, `W/"a", "b"`, `,"a",,`, `"a`, `"a,b"`, "\"\xff\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		tags, ok := users.ReadTags(value)
		if !ok {
			if len(tags) > 0 {
				t.Errorf("%q: returns %q beside a failure", value, tags)
			}
			return
		}
		again, ok := users.ReadTags(strings.Join(tags, ", "))
		if !ok || !slices.Equal(again, tags) || len(tags) == 0 {
			t.Errorf("%q is read as %q, and that as %q, %v", value, tags, again, ok)
		}
		for _, tag := range tags {
			if !strings.Contains(value, tag) {
				t.Errorf("%q is read as %q", value, tags)
			}
		}
	})
}
