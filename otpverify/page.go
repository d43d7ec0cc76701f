package otpverify

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/enroll"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/receipt"
	"twofa/internal/session"
)

// PageCheck is a code that a person typed on a page.
type PageCheck struct {
	Page session.Page
	// ID is the session's verification, for FactorMessage.
	ID     otp.ID
	Factor string
	Code   string
	// Link is the message (from 1) whose link the person followed instead of typing the code.
	Link int
	// Browser is the id of the browser that was known when the verification began, zero if none
	// was: wrong codes count for it. Remember lets the browser with the id Proves be known from
	// now on.
	Browser, Proves [8]byte
	Remember        bool
	// Silent: the verification, of FactorMessage, was started so (otpsend.FromPage). Its code was
	// never sent, and nothing is approved: a right code is answered and counted as a wrong one,
	// and the warning after the last one is counted and not sent.
	Silent bool
}

// PageApproval is the approval of a page.
type PageApproval struct {
	// Kept is what Check gives to the app when it fetches the approval.
	Kept []byte
	// Address is the one that a code reached, "" if none did. Channel is how.
	Address string
	Channel channel.Channel
	// App is the id of the authenticator app whose code it was, "" if it was none.
	App string
	// Test is true for a test number: nobody has proven anything.
	Test bool
	// At is when the code was approved.
	At time.Time
}

// kept is an approval until the app fetches it.
type kept struct {
	Answer Answer           `json:"answer"`
	Says   receipt.Approval `json:"says"`
}

// CheckOnPage is Check for a page, with the round trips of a check by id, or of the factor.
// Who asks is the browser that the session is bound to: the caller has made sure of that.
//
// If the session's verification was approved within the last session.FetchFor, CheckOnPage
// returns its approval again: the session was bound to this browser before any code was
// checked, so only this browser can have approved it, and the first answer was lost.
func (s *Service) CheckOnPage(ctx context.Context, p PageCheck) (PageApproval, error) {
	check := otp.CheckRequest{
		Caller: otp.Caller{Client: p.Page.Client, Session: p.Page.Session}, AnyOrigin: true, ID: p.ID,
		Code: p.Code, Link: p.Link, Transaction: p.Page.Context, Browser: p.Browser, Proves: p.Proves, Remember: p.Remember, Silent: p.Silent,
	}
	if p.Factor != FactorMessage {
		check.User, check.ID = p.Page.User, ""
	}
	if _, ok := otp.ReadTyped(p.Code); !ok && p.Link == 0 {
		err := problem.Invalid("code", "%s", noForm)
		err.Err = otp.ErrForm
		return PageApproval{}, err
	}
	var a Answer
	var err error
	switch {
	case p.Silent:
		a, err = s.checkMessage(ctx, check)
	case p.Factor == FactorTOTP:
		a, err = s.checkTOTP(ctx, check)
	case p.Factor == FactorRecovery:
		a, err = s.checkRecovery(ctx, check)
	default:
		if a, err = s.checkMessage(ctx, check); problem.Is(err, problem.AlreadyUsed) {
			a, err = s.approved(ctx, check)
		}
	}
	if err != nil {
		return PageApproval{}, err
	}
	says := *a.says
	a.Purpose, says.Purpose = p.Page.Purpose, p.Page.Purpose // also of factors that have none
	says.Disclosed = says.User == ""                         // for a user, the client's scope decides when it fetches
	a.says, a.ID = nil, ""
	text, err := json.Marshal(kept{a, says})
	if err != nil {
		return PageApproval{}, problem.Unexpected(err)
	}
	approved := PageApproval{Kept: text, Address: says.Address, Channel: a.Channel, Test: a.Test, At: a.ApprovedAt}
	if a.Authenticator != nil {
		approved.App = a.Authenticator.ID
	}
	return approved, nil
}

// ShowCode returns the code of a verification that is pending, for a person who holds the link
// of a mail with it. It changes nothing. One storage round trip. Errors are of kind NotFound,
// Expired, Canceled, AlreadyUsed, TooManyChecks, StorageUnavailable or Internal.
func (s *Service) ShowCode(ctx context.Context, page session.Page, id otp.ID) (string, error) {
	own := otp.Owner{Client: page.Client, Session: page.Session}
	r, err := s.Recipients.LoadID(ctx, own, id)
	if err != nil {
		return "", err
	}
	v, err := r.Usable(own, id, s.Policy, s.Now())
	if err != nil {
		return "", err
	}
	code, ok := v.Code(s.Recipients.Keys)
	if !ok || v.Inbound() {
		return "", &problem.Error{Kind: problem.Expired, Detail: "The code cannot be made any more."}
	}
	return code, nil
}

// approved is the answer of a verification that was approved before. One round trip.
func (s *Service) approved(ctx context.Context, check otp.CheckRequest) (Answer, error) {
	r, err := s.Recipients.LoadID(ctx, check.Owner(), check.ID)
	if err != nil {
		return Answer{}, err
	}
	v, err := r.FindOf(check.Owner(), check.ID)
	if err != nil {
		return Answer{}, err
	}
	if !s.Now().Before(v.EndedAt.Add(session.FetchFor)) {
		return Answer{}, &problem.Error{Kind: problem.Expired, Detail: "The approval was not fetched in time."}
	}
	return approval(ctx, r, v.Through(check.Link)), nil
}

// ofPage reports whether a request fetches the approval of a page.
func (req Request) ofPage() bool { return req.Session != "" || req.State != "" || req.Result != "" }

// fetch gives an approval to the app that began the page session, once, or makes an enrolment
// take effect. Two storage round trips, and those of ApplyDraft.
func (s *Service) fetch(ctx context.Context, req Request) (Answer, error) {
	faults := new(problem.Faults)
	id, ok := session.Parse(req.Session)
	if !ok {
		faults.Add("session", "A session is PS and 32 hexadecimal digits in lower case, as the start answered it.")
	}
	if req.State == "" {
		faults.Add("state", "The state is missing. Take it out of your app's own cookie, never out of the address.")
	}
	if req.Result == "" {
		faults.Add("result", "The result is missing. It is in the address with which the browser came back.")
	}
	if req.ID+req.To+req.User+req.Purpose+req.Code+req.Factor+req.Origin != "" || req.Transaction != (otp.Transaction{}) {
		faults.Add("session", "Give session, state and result alone (and receipt): they name the approval.")
	}
	s.readReceipt(req, faults)
	if err := faults.Err(); err != nil {
		return Answer{}, err
	}
	loaded, err := s.Sessions.Load(ctx, id)
	if err != nil {
		return Answer{}, err
	}
	now, c := s.Now(), client.From(ctx)
	fetched := func(old session.Record) (session.Record, error) {
		return session.Fetch(old, c.ID, req.State, req.Result, now)
	}
	if _, err := fetched(loaded.Record); err != nil {
		return Answer{}, err
	}
	var enrolled Answer
	if loaded.Draft != nil { // the changes are made before the session ends, so that the call can be repeated
		if enrolled, err = s.enrolled(ctx, id, loaded.Draft, req); err != nil {
			return Answer{}, err
		}
	}
	if _, err := s.Sessions.ChangeFrom(ctx, id, loaded, fetched); err != nil {
		return Answer{}, err
	}
	if loaded.Draft != nil {
		return enrolled, nil
	}
	return s.fetched(ctx, loaded.Approval, req)
}

// enrolled makes what a person did on an enrolment page take effect.
func (s *Service) enrolled(ctx context.Context, id otp.Session, draft []byte, req Request) (Answer, error) {
	if !client.From(ctx).May(client.ScopeUsers) {
		return Answer{}, &problem.Error{Kind: problem.Forbidden, Detail: "This client does not have the scope users any more, which an enrolment needs."}
	}
	if req.Receipt {
		return Answer{}, problem.Invalid("receipt", "An enrolment is no approval: it has no receipt. Leave the field out.")
	}
	d, err := enroll.Decode(draft)
	if err != nil {
		return Answer{}, problem.Unexpected(err)
	}
	a, err := s.Enrollments.ApplyDraft(ctx, id, d)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Status: StatusEnrolled, User: a.User, Applied: &a}, nil
}

// fetched is the answer of an approval that was kept for the app.
func (s *Service) fetched(ctx context.Context, approval []byte, req Request) (Answer, error) {
	c := client.From(ctx)
	var k kept
	if err := json.Unmarshal(approval, &k); err != nil {
		return Answer{}, problem.Unexpected(err)
	}
	if k.Says.Disclosed = k.Says.Disclosed || c.May(client.ScopeUsersRead); k.Says.Disclosed && !k.Says.Test {
		if address.IsEmail(k.Says.Address) {
			k.Answer.Email = k.Says.Address
		} else {
			k.Answer.PhoneNumber = k.Says.Address
		}
	}
	if req.Receipt {
		k.Answer.Receipt = s.sign(ctx, k.Says)
	}
	return k.Answer, nil
}
