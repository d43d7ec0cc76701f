package totp

import (
	"encoding/base64"
	"strings"

	"twofa/internal/problem"

	"google.golang.org/protobuf/encoding/protowire"
)

// MaxMigrated is the largest number of accounts in a URI. Google Authenticator puts
// ten into a QR code.
const MaxMigrated = 100

// Migrated is one account of an export: an authenticator with the secret and the
// options, or the reason why the account cannot be imported.
type Migrated struct {
	Authenticator
	Issuer, Account string
	// Err is nil, or of kind InvalidRequest if the account cannot be imported. Then
	// the Authenticator is zero, and so are Issuer and Account if they cannot be
	// shown.
	Err error
}

// ParseMigration reads an export of Google Authenticator:
//
//	otpauth-migration://offline?data=BASE64
//
// The data is a protocol buffer. Its schema (MigrationPayload below) is not
// published, but known from the app's behaviour. A large export is several such
// URIs, each of which can be read alone. The error is of kind InvalidRequest with
// the field uri, and quotes nothing.
func ParseMigration(uri string) ([]Migrated, error) {
	kind, label, query, ok := cutURI(uri, "otpauth-migration")
	if !ok || !strings.EqualFold(kind, "offline") || label != "" {
		return nil, noURI(uri, "otpauth-migration")
	}
	parameters, bad := readParameters(query)
	if bad != nil {
		return nil, bad
	}
	payload, ok := readBase64(parameters["data"])
	if !ok {
		return nil, uriFault("The URI's data is not base64.")
	}
	list, ok := readPayload(payload)
	switch {
	case !ok:
		return nil, uriFault("The URI's data is not what Google Authenticator exports.")
	case len(list) == 0:
		return nil, uriFault("The URI holds no accounts.")
	case len(list) > MaxMigrated:
		return nil, uriFault("The URI holds over %d accounts.", MaxMigrated)
	}
	return list, nil
}

// readBase64 reads both alphabets, with or without padding. A space stands for a +
// that was not percent-encoded in the query.
func readBase64(text string) ([]byte, bool) {
	text = strings.NewReplacer(" ", "+", "-", "+", "_", "/").Replace(text)
	data, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	return data, err == nil
}

// Fields of MigrationPayload. The others (2 is its version; 3 to 5 are the batch's
// size, index and id) say nothing about an account.
const payloadParameters = 1 // repeated OtpParameters

// Fields of OtpParameters.
const (
	parameterSecret    = 1 // bytes
	parameterName      = 2 // string
	parameterIssuer    = 3 // string
	parameterAlgorithm = 4 // enum: 0 unspecified, 1 SHA1, 2 SHA256, 3 SHA512, 4 MD5
	parameterDigits    = 5 // enum: 0 unspecified, 1 six, 2 eight
	parameterType      = 6 // enum: 0 unspecified, 1 HOTP, 2 TOTP
)

func readPayload(payload []byte) (list []Migrated, ok bool) {
	ok = eachField(payload, func(f field) bool {
		if f.number != payloadParameters {
			return true
		}
		if f.kind != protowire.BytesType {
			return false
		}
		m, ok := readOTPParameters(f.bytes)
		list = append(list, m)
		return ok
	})
	return list, ok
}

// field is a field of a message. Its value is in bytes or varint.
type field struct {
	number protowire.Number
	kind   protowire.Type
	bytes  []byte
	varint uint64
}

// eachField calls visit for each field of a message, in order. It returns false if
// the message is not valid, or as soon as visit returns false.
func eachField(message []byte, visit func(field) bool) bool {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		message = message[n:]
		f := field{number: number, kind: kind}
		switch kind {
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 || !visit(f) {
			return false
		}
		message = message[n:]
	}
	return true
}

// readOTPParameters returns false for bytes that are no such message. If a field is
// repeated, the last one counts, as in all protocol buffers.
func readOTPParameters(message []byte) (m Migrated, ok bool) {
	var secret []byte
	var name, issuer string
	var algorithm, digits, kind uint64
	ok = eachField(message, func(f field) bool {
		want := protowire.VarintType
		switch f.number {
		case parameterSecret:
			secret, want = f.bytes, protowire.BytesType
		case parameterName:
			name, want = string(f.bytes), protowire.BytesType
		case parameterIssuer:
			issuer, want = string(f.bytes), protowire.BytesType
		case parameterAlgorithm:
			algorithm = f.varint
		case parameterDigits:
			digits = f.varint
		case parameterType:
			kind = f.varint
		default:
			return true
		}
		return f.kind == want
	})
	if !ok {
		return Migrated{}, false
	}
	return migrated(secret, name, issuer, algorithm, digits, kind), true
}

// migrated checks one account. Unspecified options have the defaults of a key URI.
func migrated(secret []byte, name, issuer string, algorithm, digits, kind uint64) Migrated {
	var m Migrated
	faults := new(problem.Faults)
	if before, after, found := strings.Cut(name, ":"); found && (issuer == "" || strings.TrimSpace(before) == strings.TrimSpace(issuer)) {
		issuer, name = before, after
	}
	if fitsLabel(issuer) && fitsLabel(name) {
		m.Issuer, m.Account = strings.TrimSpace(issuer), strings.TrimSpace(name)
	} else {
		faults.Add(uriField, "The account's names have to be printable UTF-8 of at most %d characters.", maxLabel)
	}
	switch kind {
	case 0, 2:
	case 1:
		faults.Add(uriField, "This is a counter-based token (HOTP). Only time-based ones (TOTP) are supported.")
	default:
		faults.Add(uriField, "The account's type is unknown.")
	}
	options := Options{Digits: -1, Algorithm: "unknown"}
	if algorithm < 4 {
		options.Algorithm = []Algorithm{"", SHA1, SHA256, SHA512}[algorithm]
	}
	if digits < 3 {
		options.Digits = []int{0, 6, 8}[digits]
	}
	options = options.checkURI(faults)
	if fault := checkSecret(secret); fault != "" {
		faults.Add(uriField, "%s", fault)
	}
	if m.Err = faults.Err(); m.Err != nil {
		return m
	}
	m.Authenticator = Authenticator{Secret: secret, Options: options}
	return m
}
