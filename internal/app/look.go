package app

import (
	"cmp"
	"net/url"

	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/web"
)

// looks is how the pages of each client look: its own brand, colour and logo, else the
// operator's.
type looks struct{ config.Settings }

func (s looks) of(c client.Client) web.Look {
	look := web.Look{
		Brand: cmp.Or(c.Brand, s.Brand), Color: cmp.Or(c.Color, s.Pages.Color),
		Privacy: s.Pages.Privacy, Terms: s.Pages.Terms, Support: s.Pages.Support,
	}
	switch {
	case c.Logo != nil:
		look.Logo = web.LogoPath + "?" + url.Values{"c": {c.ID}}.Encode()
	case s.Pages.Logo != nil:
		look.Logo = web.LogoPath
	}
	return look
}

// logo is the logo of a client, and for "" the operator's.
func (s looks) logo(id string) []byte {
	if id == "" {
		return s.Pages.Logo
	}
	c, _ := s.Clients.Client(id)
	return c.Logo
}
