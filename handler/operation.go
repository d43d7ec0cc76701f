package handler

import (
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"twofa/internal/problem"
	"twofa/internal/reqlog"
)

// The operations, as the log names them. docs/log.md has the same list.
const (
	opNone        = ""
	opStart       = "start"
	opResend      = "resend"
	opReplay      = "replay" // a start or resend that was answered before
	opStatus      = "status"
	opCancel      = "cancel"
	opCheck       = "check"
	opClaim       = "claim" // a check without a code: has the person's message arrived?
	opPutUser     = "user.put"
	opGetUser     = "user.get"
	opEraseUser   = "user.erase"
	opEnroll      = "totp.enroll"
	opConfirm     = "totp.confirm"
	opListApps    = "totp.list"
	opRenameApp   = "totp.rename"
	opRemoveApp   = "totp.remove"
	opMakeCodes   = "recovery.make"
	opCountCodes  = "recovery.count"
	opAlert       = "user.alert"
	opUnlock      = "user.unlock"
	opFetch       = "fetch" // the approval of a page, for the app's server
	opPage        = "page"  // a person looks at a page
	opPageStart   = "page.start"
	opPageResend  = "page.resend"
	opPageCheck   = "page.check"
	opPageHelp    = "page.help"
	opPageCancel  = "page.cancel"
	opPageLink    = "page.link"
	opPageBegin   = "page.begin" // an enrolment, as all up to save
	opPageAdd     = "page.add"
	opPageConfirm = "page.confirm"
	opPageRemove  = "page.remove"
	opPageKeep    = "page.keep"
	opPageCodes   = "page.codes"
	opPageKept    = "page.kept"
	opPageSave    = "page.save"

	opAuthorize    = "signin.authorize" // an app sends a person
	opToken        = "signin.token"     //nolint:gosec // an app exchanges a code
	opUserinfo     = "signin.userinfo"
	opEndSession   = "signin.logout"
	opSignInStart  = "signin.start"
	opSignInResend = "signin.resend"
	opSignInCheck  = "signin.check"
	opSignInHelp   = "signin.help"
	opSignInCancel = "signin.cancel"
	opSignInLink   = "signin.link"
	opSignUp       = "signin.signup" // the link, name and address of a new person
	opConsent      = "signin.consent"
	opAccount      = "signin.account" // a form of the page of an account
	opStartPage    = "user.page"
	opKeys         = "keys"
	opReport       = "hook.status"
	opMessage      = "hook.inbound"
	opQuestion     = "hook.answer"
	opPurge        = "purge"
)

// logReplay changes the operation of a start or resend that got the answer of an earlier
// one.
func logReplay(r *http.Request, replayed bool) {
	if replayed {
		reqlog.Add(r.Context(), slog.String("operation", opReplay))
	}
}

// outsideBody are the names that faults of the path, of headers and of an app's URI have.
var outsideBody = []string{"id", "user", "Idempotency-Key", "If-Match", "If-None-Match", "secret"}

// unknownField stands in the log for a name that a client made up. It is no name of a
// field.
const unknownField = "?"

// fieldNames returns the names that the JSON of a type may have, with those of its objects
// in dotted form.
func fieldNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
		if f.Type.Kind() == reflect.Struct {
			for _, inner := range fieldNames(f.Type) {
				names = append(names, name+"."+inner)
			}
		}
	}
	return names
}

// loggedFields returns the names of the fields at fault, separated by commas. Of a name
// that is not known, a known beginning is used (channels of channels.0), else
// [unknownField]: a client may have put anything into it.
func loggedFields(faults []problem.Field, known []string) string {
	var names []string
	for _, f := range faults {
		name := f.Name
		for !slices.Contains(known, name) && !slices.Contains(outsideBody, name) {
			dot := strings.LastIndexByte(name, '.')
			if dot < 0 {
				name = unknownField
				break
			}
			name = name[:dot]
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}
