package users

import "twofa/internal/problem"

// ReadTags reads a condition's header field and returns its tags as RFC 9110
// writes them, "*" for any.
func ReadTags(value string) (tags []string, ok bool) {
	list, ok := readTags(value)
	if list.any {
		tags = append(tags, "*")
	}
	for _, t := range list.tags {
		text := `"` + t.opaque + `"`
		if t.weak {
			text = "W/" + text
		}
		tags = append(tags, text)
	}
	return tags, ok
}

// Fault returns the error of a request with these conditions.
func (c Conditions) Fault() error {
	faults := new(problem.Faults)
	c.read(faults)
	return faults.Err()
}

// ReadDetail returns the form of a place or device, and the error of a request with it.
func ReadDetail(text string) (string, error) {
	faults := new(problem.Faults)
	form := readDetail("detail.place", text, faults)
	return form, faults.Err()
}
