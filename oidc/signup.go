package oidc

import (
	"errors"
	"net/http"
	"net/url"

	"twofa/internal/account"
	"twofa/internal/address"
	"twofa/internal/problem"
	"twofa/internal/shown"
	"twofa/internal/signin"
	"twofa/internal/visit"
	"twofa/internal/web"
)

// A new person types name and address (signUp), sees them once more (details), and gets a code (confirm). The account
// is made when the address is proven (own, create), and not before. Whoever signs in with an address that no account
// has gets a code as well, and then the same two screens. So nobody learns before a proof who has an account.

// firstSignUp shows the first screen of a sign-up to a person whom the app sends to it.
func firstSignUp(value string) func(v *visit.Visit, sealed string) web.Answer {
	return func(v *visit.Visit, sealed string) web.Answer {
		return v.Answer(http.StatusOK, firstDetails(v, sealed, "", value, nil))
	}
}

// firstDetails is the screen of the first form, which carries the request.
func firstDetails(v *visit.Visit, sealed, name, value string, fault *web.Fault) web.SignUpScreen {
	screen := signUpScreen(v)
	screen.Instead = "" // nothing has the request yet but the form
	screen.Name, screen.Value, screen.Fault, screen.Form.Request, screen.Cancel.Request = name, value, fault, sealed, sealed
	return screen
}

// signUpScreen asks for name and address.
func signUpScreen(v *visit.Visit) web.SignUpScreen {
	screen := web.SignUpScreen{AddressScreen: v.AddressScreen(), Instead: v.Path(screenAddress)}
	screen.Form = v.Form(screenSignUp)
	return screen
}

// join is the link of a new person on the screen for an address.
func (s *SignIn) join(v *visit.Visit, _ progress, _ url.Values) web.Answer {
	return v.Redirect(screenSignUp, visit.View{}, nil)
}

// joins reports whether a new person may make an account in this sign-in.
func (s *SignIn) joins(at progress) bool {
	return s.Provider.SignUp && at.draft.Goal != signin.ToAdd && !at.draft.SignedIn
}

// joining is an action of a sign-up. If the person has signed in since, with a form that was sent twice, they go on.
func (s *SignIn) joining(f action) action {
	return func(v *visit.Visit, at progress, form url.Values) web.Answer {
		switch {
		case s.joins(at):
			return f(v, at, form)
		case s.Provider.SignUp && at.draft.SignedIn:
			return s.again(v, at)
		}
		return v.End(http.StatusBadRequest, visit.EndLink, errPlace)
	}
}

// showSignUp answers with a screen of the sign-up.
func (s *SignIn) showSignUp(v *visit.Visit, at progress, name string) web.Answer {
	if !s.joins(at) {
		return s.stored(v, errGone)
	}
	d := at.draft
	if name == screenDetails && d.Join.Address != "" {
		return v.Answer(http.StatusOK, web.DetailsScreen{
			Name: d.Join.Name, Address: d.Join.Address, Email: address.IsEmail(d.Join.Address), Form: v.Form(screenDetails), Proven: d.Joins(),
			Change: v.Path(screenSignUp), Fault: v.Token.View.Fault, Cancel: v.Form("cancel"),
		})
	}
	screen := signUpScreen(v)
	if screen.Name = d.Join.Name; screen.Value == "" && screen.Fault == nil {
		screen.Value = d.Join.Address
	}
	if v.Token.View.Name != "" {
		screen.Name = v.Token.View.Name
	}
	if d.Owned != nil {
		screen.Proven = address.Mask(d.Owned.Address)
	}
	return v.Answer(http.StatusOK, screen)
}

// signUp is the form with name and address.
func (s *SignIn) signUp(v *visit.Visit, at progress, form url.Values) web.Answer {
	var to string
	var w visit.View
	var err error
	if at.draft.Owned != nil && !form.Has("address") {
		to = at.draft.Owned.Address
	} else {
		to, w, err = v.ReadAddress(form)
	}
	name, fault := readName(form)
	if w.Name = name; fault != nil {
		w.Fault, err = fault, errName
	}
	if err != nil {
		return v.Redirect(screenSignUp, w, err)
	}
	if _, err = s.keep(v, at, func(d signin.Draft) (signin.Draft, error) { return d.SignUp(name, to), nil }); err != nil {
		return s.refuse(v, err, screenSignUp, w)
	}
	return v.Redirect(screenDetails, visit.View{}, nil)
}

// readName returns the name in a form. A fault says what is wrong with it.
func readName(form url.Values) (string, *web.Fault) {
	name, fault := shown.Read(form.Get("name"), signin.MaxName)
	if fault != "" || name == "" {
		return "", &web.Fault{Key: "page_error_person", Field: true}
	}
	return name, nil
}

var errName = &problem.Error{Kind: problem.InvalidRequest, Err: errors.New("oidc: not a name")}

// confirm is the form of a person who has looked at the details. It sends the code, unless the address is proven.
func (s *SignIn) confirm(v *visit.Visit, at progress, form url.Values) web.Answer {
	switch {
	case at.draft.Join.Address == "":
		return v.Redirect(screenSignUp, visit.View{}, nil)
	case at.draft.Joins():
		return s.create(v, at)
	}
	v.Token.More = nil
	sent, err := s.ask(v, at, form.Get("once"), at.draft.Join.Address, false, signin.Draft.Confirm)
	switch {
	case problem.Is(err, problem.DestinationRefused, problem.InvalidRequest): // another address is needed
		return s.refuse(v, err, screenSignUp, visit.View{Typed: at.draft.Join.Address})
	case err != nil:
		return s.refuse(v, err, screenDetails, visit.View{})
	}
	return v.Sent(sent, "")
}

// own keeps the proof of an address that opens no account: it survives a fault of storage. Then the account is made, if
// the person has confirmed its details before.
func (s *SignIn) own(v *visit.Visit, at progress, proof account.Proof, on device) web.Answer {
	at, err := s.keep(v, at, func(d signin.Draft) (signin.Draft, error) { return d.Own(proof, on.shared), nil })
	switch {
	case err != nil:
		return s.refuse(v, err, visit.ScreenMain, visit.View{})
	case at.draft.Joins() && at.draft.Join.Confirmed:
		return s.create(v, at)
	case at.draft.Joins():
		return v.Redirect(screenDetails, visit.View{}, nil)
	}
	return v.Redirect(screenSignUp, visit.View{}, nil)
}

// create makes the account of a new person who has proven its address, and signs them in. If the address got an
// account meanwhile, they sign in to that one: they have proven that it is theirs.
func (s *SignIn) create(v *visit.Visit, at progress) web.Answer {
	d := at.draft
	g := signin.Given{Name: d.Join.Name, Locale: v.Renderer.Texts.Language(v.Locale), Account: d.Join.Account}
	if g.Phone = d.Join.Address; address.IsEmail(g.Phone) {
		g.Phone, g.Email = "", g.Phone
	}
	u, opens, err := s.Accounts.Find(v.Ctx, d.Join.Address, v.Now)
	has := false
	if err == nil && !opens {
		if err = s.Accounts.Make(v.Ctx, g, v.Now); err == nil || errors.Is(err, signin.ErrTaken) {
			u, has, err = s.Accounts.Lookup(v.Ctx, d.Join.Address, v.Now)
			opens = has && u.Account.Opens(d.Join.Address)
		}
	}
	switch {
	case err != nil:
		return s.refuse(v, err, screenDetails, visit.View{})
	case opens:
		return s.prove(v, at, *d.Owned, u, device{})
	case !has: // another sign-up makes one with it at this moment
		return v.Redirect(screenDetails, visit.View{Fault: &web.Fault{Key: "page_error_failure"}}, visit.ProblemOf(signin.ErrTaken))
	}
	return s.taken(v, at)
}

// taken answers a sign-up with an address that the operator gave to an account that has been made. The person can type
// another one.
func (s *SignIn) taken(v *visit.Visit, at progress) web.Answer {
	_, err := s.keep(v, at, func(d signin.Draft) (signin.Draft, error) {
		d.Owned = nil
		return d, nil
	})
	if err != nil {
		return s.refuse(v, err, screenDetails, visit.View{})
	}
	return v.Redirect(screenSignUp, visit.View{Typed: at.draft.Join.Address, Fault: &web.Fault{Key: "page_error_taken", Field: true}}, visit.ProblemOf(signin.ErrTaken))
}

// require asks a person who has signed in for an address of the kind that the app requires.
func (s *SignIn) require(v *visit.Visit, at progress, kind account.Kind) web.Answer {
	if at.draft.Adds != kind {
		_, err := s.keep(v, at, func(d signin.Draft) (signin.Draft, error) {
			d.Adds = kind
			return d, nil
		})
		if err != nil {
			return s.refuse(v, err, visit.ScreenMain, visit.View{})
		}
	}
	v.Token.Sent, v.Token.More = nil, more(string(kind))
	return v.Redirect(screenAddress, visit.View{}, nil)
}
