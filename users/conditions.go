package users

import (
	"strings"

	"twofa/internal/problem"
	"twofa/internal/user"
)

// Conditions are the header fields of a conditional request, as they came. Lines of
// the same name are joined by commas. "" is no condition.
type Conditions struct {
	// IfMatch holds if the user's entity tag is in this list, or for * if there is
	// a user (RFC 9110, 13.1.1).
	IfMatch string
	// IfNoneMatch holds if there is no user, or if the user's entity tag is not in
	// this list (13.1.2).
	IfNoneMatch string
}

// conditions is Conditions after parsing.
type conditions struct {
	ifMatch, ifNoneMatch tagList
}

// tagList is the value of either field. The zero tagList is no condition.
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
			faults.Add(field, `Send a list of entity tags in double quotes, as in the header ETag, or *.`)
		}
		return list
	}
	return conditions{ifMatch: readOne("If-Match", c.IfMatch), ifNoneMatch: readOne("If-None-Match", c.IfNoneMatch)}
}

// readTags reads * or a list of entity tags (RFC 9110, 8.8.3 and 5.6.1). ok is false
// for any other text.
func readTags(value string) (list tagList, ok bool) {
	s := strings.Trim(value, " \t")
	if s == "*" {
		return tagList{any: true}, true
	}
	for s != "" {
		if s[0] != ',' { // empty elements are ignored
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

// readTag reads the entity tag that s begins with, and the white space after it.
func readTag(s string) (tag entityTag, rest string, ok bool) {
	s, tag.weak = strings.CutPrefix(s, "W/")
	s, opened := strings.CutPrefix(s, `"`)
	tag.opaque, rest, ok = strings.Cut(s, `"`)
	for _, c := range []byte(tag.opaque) {
		ok = ok && c > ' ' && c != 0x7f
	}
	return tag, strings.TrimLeft(rest, " \t"), ok && opened
}

// check returns an error unless the conditions hold for the user (the zero User if
// there is none).
func (c conditions) check(u user.User) error {
	found := u.Name != ""
	if c.ifMatch.given() && !(found && c.ifMatch.has(tag(u), false)) {
		return errOtherState
	}
	if c.ifNoneMatch.given() && found && c.ifNoneMatch.has(tag(u), true) {
		return &problem.Error{Kind: problem.PreconditionFailed, Detail: "The user exists, and If-None-Match excludes its current entity tag. Nothing was changed."}
	}
	return nil
}

var errOtherState = &problem.Error{Kind: problem.PreconditionFailed, Detail: "The user has changed since you read it, or does not exist: no entity tag in If-Match is the current one. Nothing was changed. Read the user again."}

// Unmodified judges the conditions of a read (RFC 9110, 13.2.2). It reports whether
// IfNoneMatch names the state of the answer, so that the client has it. The error is of
// kind PreconditionFailed if IfMatch names other states only. A condition that cannot be
// read is none, because a read changes nothing.
func (a Answer) Unmodified(cond Conditions) (bool, error) {
	c, opaque := cond.read(new(problem.Faults)), strings.Trim(a.ETag, `"`)
	if c.ifMatch.given() && !c.ifMatch.has(opaque, false) {
		return false, errOtherState
	}
	return c.ifNoneMatch.given() && c.ifNoneMatch.has(opaque, true), nil
}

// checkUnreadable is check for a user whose row cannot be read: the user exists, and
// no entity tag is the current one.
func (c conditions) checkUnreadable() error {
	if c.ifMatch.given() && !c.ifMatch.any || c.ifNoneMatch.any {
		return &problem.Error{Kind: problem.PreconditionFailed, Detail: "What is kept of the user cannot be read, so it has no entity tag. Nothing was changed. To remove it, send the request without conditions."}
	}
	return nil
}

func (l tagList) given() bool { return l.any || len(l.tags) > 0 }

// has reports whether the list has a tag (RFC 9110, 8.8.3.2). The strong comparison
// never matches a weak tag.
func (l tagList) has(opaque string, weakly bool) bool {
	for _, t := range l.tags {
		if t.opaque == opaque && (weakly || !t.weak) {
			return true
		}
	}
	return l.any
}
