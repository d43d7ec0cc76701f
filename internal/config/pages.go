package config

import (
	"net/url"
	"strings"

	"twofa/internal/client"
	"twofa/internal/color"
)

// Pages is how the pages of clients without a look of their own look.
type Pages struct {
	// Color is the brand's colour, like #0b5fff. "": the default.
	Color string
	// Logo is the file of the logo, nil for none.
	Logo []byte
	// Privacy, Terms and Support are addresses of the operator's pages. "": none.
	Privacy, Terms, Support string
}

// pages reads the settings of pages.
func (e environment) pages(faults *Faults) (p Pages) {
	if e.PageColor != "" {
		c, err := color.Parse(e.PageColor)
		if err != nil {
			faults.add("TWOFA_PAGE_COLOR", "has to be a colour like #0b5fff")
		} else if err := c.Check(); err != nil {
			faults.add("TWOFA_PAGE_COLOR", "%s", err)
		}
		p.Color = c.String()
	}
	if e.PageLogo != "" {
		logo, err := client.ReadLogo(strings.TrimPrefix(e.PageLogo, "@"))
		if err != nil {
			faults.add("TWOFA_PAGE_LOGO", "has to be the path of a picture (SVG, PNG, JPEG, GIF or WebP) of at most 32 KB: %s", err)
		}
		p.Logo = logo
	}
	if strings.TrimSpace(e.PageLinks) == "" {
		return p
	}
	links := map[string]*string{"privacy": &p.Privacy, "terms": &p.Terms, "support": &p.Support}
	for entry := range strings.SplitSeq(e.PageLinks, ",") {
		name, address, _ := strings.Cut(strings.TrimSpace(entry), "=")
		link, known := links[name]
		if !known || *link != "" || !isLink(address) {
			faults.add("TWOFA_PAGE_LINKS", "has to be some of privacy=, terms= and support=, each once and with an https address (support also with mailto:), comma-separated, like privacy=https://example.com/privacy")
			return p
		}
		*link = address
	}
	return p
}

// isLink reports whether a page may link to an address.
func isLink(address string) bool {
	u, err := url.Parse(address)
	if err != nil || strings.ContainsAny(address, " \"<>\\") {
		return false
	}
	return u.Scheme == "https" && u.Hostname() != "" && u.User == nil || u.Scheme == "mailto" && strings.Contains(u.Opaque, "@")
}
