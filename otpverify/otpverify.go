// Package otpverify is the use case behind the otpverify function: it checks a
// code, once.
//
// It spends the attempt, or the approval, before it answers. Where it cannot
// tell that this was kept, it approves nothing. It must never log a code.
package otpverify

import (
	"context"
	"time"

	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
)

// Service checks codes. Its fields are set once, before the first call.
type Service struct {
	Book   *recipient.Book
	Policy otp.Policy
	Now    func() time.Time
}

// Request names a verification, by its id or by the address and purpose that it
// was started with, and a code as the person typed it. With an id, address and
// purpose may be given too, and have to be the verification's own. Context has to
// be exactly as it was at the start.
type Request struct {
	ID      string      `json:"id"`
	To      string      `json:"to"`
	Purpose string      `json:"purpose"`
	Code    string      `json:"code"`
	Context otp.Context `json:"context"`
}

// Answer is an approval. There is no other answer without an error.
type Answer struct {
	ID         otp.ID     `json:"id"`
	Status     otp.Status `json:"status"`
	To         string     `json:"to"`
	Channel    string     `json:"channel"`
	Purpose    string     `json:"purpose"`
	ApprovedAt time.Time  `json:"approved_at"`
}

// Check spends one check and returns an Answer if, and only if, the code is
// right and this call is the one that used it. Two storage round trips.
func (s *Service) Check(ctx context.Context, req Request) (Answer, error) {
	rowKey, check, err := s.read(req)
	if err != nil {
		return Answer{}, err
	}
	now := s.Now()
	r, v, err := s.Book.Change(ctx, rowKey, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return otp.Check(old, check, s.Book.Keys, s.Policy, now)
	})
	reqlog.Verification(ctx, r, v)
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		ID: v.ID, Status: v.Status, To: phone.Mask(r.Address), Channel: v.Channel,
		Purpose: v.Purpose, ApprovedAt: v.EndedAt.Truncate(time.Second),
	}, nil
}

// read checks the fields, all of them, and finds the row.
func (s *Service) read(req Request) (rowKey string, check otp.CheckRequest, err error) {
	faults := &otp.Error{Kind: otp.InvalidRequest}
	code, ok := otp.ReadCode(req.Code)
	switch {
	case req.Code == "":
		faults.Add("code", "The code is missing.")
	case !ok:
		faults.Add("code", "A code is made of digits or letters; this has other characters or is too long.")
	}
	check = otp.CheckRequest{Purpose: otp.CheckPurpose(req.Purpose, faults), Code: code, Context: req.Context}
	if req.To != "" {
		number, err := phone.Parse(req.To)
		if err != nil {
			faults.Add("to", "%s", err)
		} else {
			check.Address, rowKey = number.E164, s.Book.RowKey(number.E164)
		}
	}
	if req.ID != "" {
		id, bad := otp.ParseID(req.ID)
		if bad != nil {
			faults.Fields = append(faults.Fields, bad.Fields...)
		} else {
			check.ID, rowKey = id, id.RowKey()
		}
		if req.Purpose == "" {
			check.Purpose = "" // an id needs no default: any purpose is meant
		}
	}
	if req.ID == "" && req.To == "" {
		faults.Add("id", "Give the id of the verification, or to and purpose as at the start.")
	}
	if len(faults.Fields) > 0 {
		return "", otp.CheckRequest{}, faults
	}
	return rowKey, check, nil
}
