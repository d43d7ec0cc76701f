package azuretable

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// kind is what a failed request says about the row.
type kind int

const (
	unclear  kind = iota // no answer, or an answer that leaves open whether the request was applied
	conflict             // the row does not meet the condition
	absent               // there is no such row
	noTable              // there is no such table
	refused              // not applied, and a repetition would not help
)

// fault is a failed request. It holds only what may be shown to anybody.
type fault struct {
	kind       kind
	status     int    // 0 if there was no answer
	code       string // the service's error code, or our own description
	retryAfter time.Duration
}

// faultOf converts an error of the SDK. The error's text must not be passed on,
// because it quotes the URL and with it the row's key.
func faultOf(err error) *fault {
	if err == nil {
		return nil
	}
	if missing, ok := errors.AsType[absence](err); ok {
		return notFound(string(missing))
	}
	re, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		if _, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok {
			return &fault{kind: refused, code: "no token from the managed identity"}
		}
		return &fault{kind: unclear, code: noAnswer(err)}
	}

	f := &fault{status: re.StatusCode, code: plainCode(re.ErrorCode)}
	switch code := aztables.TableErrorCode(re.ErrorCode); {
	case re.StatusCode == http.StatusPreconditionFailed,
		re.StatusCode == http.StatusConflict && code == aztables.EntityAlreadyExists:
		f.kind = conflict
	case re.StatusCode == http.StatusNotFound:
		f.kind = notFound(re.ErrorCode).kind
	case re.StatusCode == http.StatusRequestTimeout, re.StatusCode == http.StatusTooManyRequests:
		f.kind = unclear
	case re.StatusCode >= 400 && re.StatusCode < 500:
		f.kind = refused
	}
	if re.RawResponse != nil {
		if s, err := strconv.Atoi(re.RawResponse.Header.Get("Retry-After")); err == nil && s > 0 {
			f.retryAfter = time.Duration(min(s, 3600)) * time.Second
		}
	}
	return f
}

// noAnswer describes why there is no answer. The error's own text may not be shown,
// because it contains the host or its address.
func noAnswer(err error) string {
	var (
		name        *net.DNSError
		network     *net.OpError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError // the answer is not TLS
	)
	if _, ok := errors.AsType[tooLarge](err); ok {
		return "the answer is too large"
	}
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return "no such host"
	case errors.As(err, &network) && (network.Op == "dial" || network.Op == "proxyconnect"):
		return "no connection"
	case errors.As(err, &certificate), errors.As(err, &record):
		return "TLS"
	case errors.Is(err, context.DeadlineExceeded):
		return "timed out"
	default:
		return "no usable answer"
	}
}

// notFound is the fault of a 404. If it does not say what is missing, it does not
// come from the service. It must not count as an absent row, because then counted
// failures would be lost.
func notFound(code string) *fault {
	f := &fault{kind: refused, status: http.StatusNotFound, code: plainCode(code)}
	switch aztables.TableErrorCode(code) {
	case aztables.TableNotFound:
		f.kind = noTable
	case aztables.ResourceNotFound, aztables.EntityNotFound:
		f.kind = absent
	}
	return f
}

// plainCode returns an error code if it looks like one, and "" otherwise. The code
// comes from the response's body, which a proxy may have written.
func plainCode(s string) string {
	if len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return s
}
