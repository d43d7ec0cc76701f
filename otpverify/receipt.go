package otpverify

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/receipt"
	"twofa/internal/reqlog"
)

// YesNo is true or false. In a form it is a text.
type YesNo bool

var errYesNo = errors.New("otpverify: neither true nor false")

// UnmarshalJSON reads true and false, also as texts. The empty text and null are false, as
// a field that is left out.
func (y *YesNo) UnmarshalJSON(text []byte) error {
	switch strings.Trim(string(text), `"`) {
	case "true":
		*y = true
	case "false", "", "null":
		*y = false
	default:
		return errYesNo
	}
	return nil
}

// readReceipt notes a fault if the request asks for a receipt that the service cannot
// sign. So no try is spent on an approval that would have none.
func (s *Service) readReceipt(req Request, faults *problem.Faults) {
	if !req.Receipt {
		return
	}
	if s.Receipts == nil {
		faults.Add("receipt", "This service signs no receipts, because TWOFA_PUBLIC_URL is not set. Leave receipt out, or ask the operator to set it.")
	}
}

// saysOf returns what the receipt of an approved verification says.
func saysOf(ctx context.Context, r otp.Recipient, v otp.Verification) *receipt.Approval {
	says := &receipt.Approval{
		Client: v.Client, User: v.User, Address: r.Proven(v), Disclosed: v.User == "" || client.From(ctx).May(client.ScopeUsersRead),
		Purpose: v.Purpose, Channel: v.Channel(), Transaction: v.Transaction.Form(),
	}
	if v.TestCode != "" {
		says.Test, says.Address = true, r.AddressFor(v, v.Channel())
	}
	return says
}

// sign returns the receipt of an approval, "" if there is none: for a test number whose
// receipts the client may not have, and after a failure, which the log line names.
//
// The approval is stored before it is signed. It holds without a receipt: an error here
// would make a client try a code again that is used up.
func (s *Service) sign(ctx context.Context, says receipt.Approval) string {
	if says.Test && !client.From(ctx).TestNumbers {
		return ""
	}
	text, err := s.Receipts.Sign(says)
	if err != nil {
		reqlog.Add(ctx, slog.String("not_signed", err.Error()))
	}
	return text
}
