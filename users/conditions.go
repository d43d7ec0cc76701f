package users

import (
	"strings"

	"twofa/internal/problem"
	"twofa/internal/user"
)

// Conditions are the header fields of a conditional request as they came, lines
// of one name joined by commas; "" is none.
type Conditions struct {
	// IfMatch is met by a user in a state of these entity tags, or for * by any
	// user (RFC 9110, 13.1.1).
	IfMatch string
	// IfNoneMatch is met where there is no user, or, for a list, where the user
	// is in none of these states (13.1.2).
	IfNoneMatch string
}

// conditions is Conditions, read.
type conditions struct {
	ifMatch, ifNoneMatch tagList
}

// tagList is what either field holds; the zero tagList is none.
type tagList struct {
	any  bool // *
	tags []entityTag
}

type entityTag struct {
	opaque string // without its quotes
	weak   bool
}

func (c Conditions) read(faults *problem.Faults) conditions {
	readOne := func(field, value string) tagList {
		list, ok := readTags(value)
		if value != "" && !ok {
			faults.Add(field, `This header is a list of entity tags in double quotes, as the header ETag has them, or *.`)
		}
		return list
	}
	return conditions{ifMatch: readOne("If-Match", c.IfMatch), ifNoneMatch: readOne("If-None-Match", c.IfNoneMatch)}
}

// readTags reads * or a list of entity tags (RFC 9110, 8.8.3 and 5.6.1), and
// reports whether it was one.
func readTags(value string) (list tagList, ok bool) {
	s := strings.Trim(value, " \t")
	if s == "*" {
		return tagList{any: true}, true
	}
	for s != "" {
		if s[0] != ',' { // an empty element is none
			tag, rest, ok := readTag(s)
			if !ok || rest != "" && rest[0] != ',' {
				return tagList{}, false
			}
			list.tags = append(list.tags, tag)
			s = rest
		}
		s = strings.TrimLeft(strings.TrimPrefix(s, ","), " \t")
	}
	return list, len(list.tags) > 0
}

// readTag reads the entity tag that s begins with, and the white space behind it.
func readTag(s string) (tag entityTag, rest string, ok bool) {
	s, tag.weak = strings.CutPrefix(s, "W/")
	s, opened := strings.CutPrefix(s, `"`)
	tag.opaque, rest, ok = strings.Cut(s, `"`)
	for _, c := range []byte(tag.opaque) {
		ok = ok && c > ' ' && c != 0x7f
	}
	return tag, strings.TrimLeft(rest, " \t"), ok && opened
}

// by returns an error unless the conditions are met by the user, or by there
// being none.
func (c conditions) by(u user.User, found bool) error {
	if c.ifMatch.given() && !(found && c.ifMatch.has(tag(u), false)) {
		return &problem.Error{Kind: problem.PreconditionFailed, Detail: "The user is not, or not any more, in the state that If-Match names. Nothing was changed: read the user again, and decide anew."}
	}
	if c.ifNoneMatch.given() && found && c.ifNoneMatch.has(tag(u), true) {
		return &problem.Error{Kind: problem.PreconditionFailed, Detail: "There is a user in a state that If-None-Match rules out. Nothing was changed."}
	}
	return nil
}

func (l tagList) given() bool { return l.any || len(l.tags) > 0 }

// has compares strongly, so that a weak tag is no match, or weakly (8.8.3.2).
func (l tagList) has(opaque string, weakly bool) bool {
	for _, t := range l.tags {
		if t.opaque == opaque && (weakly || !t.weak) {
			return true
		}
	}
	return l.any
}
