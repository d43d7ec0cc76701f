package e2e

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/recovery"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
	"twofa/internal/window"
	"twofa/otpverify"
)

// recordedRow is a row that an earlier release has written, and its content. The rows are
// in testdata/rows.json, which describes them.
type recordedRow struct {
	About     string
	Kind      string // recipient, user or erased user
	Of        string // the address or name
	Key       string
	KeepUntil time.Time `json:"keep_until"`
	Data      []byte
	Version   byte
	Decoded   json.RawMessage // otp.Recipient or user.User
	// What Decoded does not contain: one-time codes by verification, the secrets of apps
	// in order, and a user's recovery codes.
	Codes         map[string]string
	Secrets       []string
	RecoveryCodes []string `json:"recovery_codes"`
}

// renamedFields writes the present names of Go fields that had another name when the rows
// were recorded, and the directory of users, who had none.
var renamedFields = strings.NewReplacer(`"Good":`, `"Preferred":`, `"Context":`, `"Transaction":`, `{"Name":`, `{"Directory":"main","Name":`)

func recordedRows(t *testing.T) (*secret.Keyring, []recordedRow) {
	t.Helper()
	text := readFile(t, "testdata/rows.json")
	var file struct {
		Secret string
		Rows   []recordedRow
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Rows) < 25 {
		t.Fatalf("there are only %d rows", len(file.Rows))
	}
	return keyring(t, fixture.Secret(1)+","+file.Secret), file.Rows // the file's secrets can be guessed
}

// Each recorded row opens with its key, and is read as it was meant. It is encoded in the
// newest version, which is read as the same content.
func TestRowsOfEarlierReleasesAreRead(t *testing.T) {
	keys, rows := recordedRows(t)
	for _, row := range rows {
		t.Run(row.Key, func(t *testing.T) {
			plain, err := keys.Open(row.Data, row.Key)
			if err != nil || plain[0] != row.Version {
				t.Fatalf("%s: opens as %x, %v", row.About, plain, err)
			}
			switch row.Kind {
			case "recipient":
				row.wantRecipient(t, keys, plain)
			case "user":
				row.wantUser(t, keys, plain)
			case "erased user":
				if !bytes.Equal(plain, []byte{0}) {
					t.Errorf("the row of an erased user contains %x", plain)
				}
			default:
				t.Errorf("unknown kind %s", row.Kind)
			}
		})
	}
}

func (row recordedRow) wantRecipient(t *testing.T, keys *secret.Keyring, plain []byte) {
	t.Helper()
	r, err := recipient.Decode(plain)
	if err != nil {
		t.Fatalf("%s: %v", row.About, err)
	}
	row.wantDecoded(t, r)
	if key := (&recipient.Store{Keys: keys}).Key(row.Of); string(key) != row.Key {
		t.Errorf("the key of %s is %s, was %s", row.Of, key, row.Key)
	}
	if len(row.Codes) != len(r.Verifications) {
		t.Errorf("%d codes of %d verifications", len(row.Codes), len(r.Verifications))
	}
	for _, v := range r.Verifications {
		if code, ok := v.Code(keys); !ok || code != row.Codes[string(v.ID)] {
			t.Errorf("the code of %s is %s, was %s", v.ID, code, row.Codes[string(v.ID)])
		}
	}
	encoded, err := recipient.Encode(r)
	if err != nil || encoded[0] != 6 {
		t.Fatalf("%s: is encoded as\n%x, %v, was\n%x", row.About, encoded, err, plain)
	}
	again, err := recipient.Decode(encoded)
	if err != nil {
		t.Fatalf("%s: the encoded row is not read: %v", row.About, err)
	}
	row.wantDecoded(t, again)
}

func (row recordedRow) wantUser(t *testing.T, keys *secret.Keyring, plain []byte) {
	t.Helper()
	u, err := user.Decode(plain)
	if err != nil {
		t.Fatalf("%s: %v", row.About, err)
	}
	row.wantDecoded(t, u)
	if key := (&user.Store{Keys: keys}).Key("main", row.Of); string(key) != row.Key {
		t.Errorf("the key of %s is %s, was %s", row.Of, key, row.Key)
	}
	// A row of version 1 is encoded as version 2, with three empty lists at its end.
	want := append(append([]byte{2}, plain[1:]...), make([]byte, 6)...)
	if encoded, err := u.Encode(); err != nil || !bytes.Equal(encoded, want) {
		t.Errorf("%s: is encoded as\n%x, %v, was\n%x", row.About, encoded, err, plain)
	}
	if len(row.Secrets) != len(u.TOTP.Authenticators) {
		t.Fatalf("%d secrets of %d apps", len(row.Secrets), len(u.TOTP.Authenticators))
	}
	for i, app := range u.TOTP.Authenticators {
		if secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(app.Secret); secret != row.Secrets[i] {
			t.Errorf("app %d has another secret", i)
		}
	}
	row.wantRecoveryCodes(t, u.Recovery, keys)
}

// wantRecoveryCodes tries each recovery code: used codes are wrong, all others are right. It
// does so when the wrong codes in the row do not count any more.
func (row recordedRow) wantRecoveryCodes(t *testing.T, s recovery.State, keys *secret.Keyring) {
	t.Helper()
	now := s.MadeAt.Add(3 * window.Day)
	for i, typed := range row.RecoveryCodes {
		code, ok := otp.ReadCode(typed)
		h, err := s.Hash(recovery.Slow, code, keys)
		if err == nil {
			_, _, err = recovery.Use(s, h, now)
		}
		if used := !s.Codes[i].UsedAt.IsZero(); !ok || used != (err != nil) {
			t.Errorf("recovery code %d, used %t: %v", i+1, used, err)
		}
	}
}

// formerRecipient is otp.Recipient as it was when the rows were recorded: there was one
// client.
type formerRecipient struct {
	Address         string
	Verifications   []otp.Verification
	Sends, Failures []time.Time
	AlertedAt       time.Time
	BlockedUntil    time.Time
	Preferred       otp.Preferred
	Replays         []otp.Replay
}

// now returns the recipient in its present form: what was counted is the nameless client's.
func (f formerRecipient) now() otp.Recipient {
	r := otp.Recipient{Address: f.Address, Verifications: f.Verifications, BlockedUntil: f.BlockedUntil, Replays: f.Replays}
	if len(f.Sends)+len(f.Failures) > 0 || !f.AlertedAt.IsZero() {
		r.Tallies = []otp.Tally{{Sends: f.Sends, Failures: f.Failures, AlertedAt: f.AlertedAt}}
	}
	if f.Preferred.Channel != "" {
		r.Preferred = []otp.Preferred{f.Preferred}
	}
	return r
}

// wantDecoded compares a decoded row with the recorded content.
func (row recordedRow) wantDecoded(t *testing.T, decoded any) {
	t.Helper()
	got, err := json.Marshal(decoded)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, row.Decoded); err != nil {
		t.Fatal(err)
	}
	want := []byte(renamedFields.Replace(compact.String()))
	if row.Kind == "recipient" {
		var former formerRecipient
		d := json.NewDecoder(bytes.NewReader(want))
		d.DisallowUnknownFields()
		if err := d.Decode(&former); err != nil {
			t.Fatal(err)
		}
		if want, err = json.Marshal(former.now()); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: is read as\n%s\nwant\n%s", row.About, got, want)
	}
}

// recordedTable returns a table with the recorded rows.
func recordedTable(t *testing.T, rows []recordedRow) store.Table {
	t.Helper()
	table, err := boltstore.Open(filepath.Join(t.TempDir(), "twofa.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	for _, row := range rows {
		err := table.Update(t.Context(), store.Key(row.Key), func([]byte) (store.Row, error) {
			return store.Row{Data: row.Data, KeepUntil: row.KeepUntil}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return table
}

// The rows in a table are found by their addresses and names.
func TestRowsOfEarlierReleasesAreFound(t *testing.T) {
	keys, rows := recordedRows(t)
	table := recordedTable(t, rows)
	recipients, users := &recipient.Store{Table: table, Keys: keys}, &user.Store{Table: table, Keys: keys}
	for _, row := range rows {
		var found any
		var err error
		if row.Kind == "recipient" {
			found, err = recipients.Load(t.Context(), recipients.Key(row.Of))
		} else {
			found, err = users.Load(t.Context(), users.Key("main", row.Of))
		}
		switch {
		case row.Kind == "erased user":
			if err == nil {
				t.Errorf("%s: the erased user is found", row.About)
			}
		case err != nil:
			t.Errorf("%s: %v", row.About, err)
		default:
			row.wantDecoded(t, found)
		}
	}
}

// R30. The ids in the rows of the release before hold the row's key. They still lead to
// the verification, and the code of a pending one is approved by its id.
func TestR30_IDsInRowsOfTheReleaseBeforeWork(t *testing.T) {
	keys, rows := recordedRows(t)
	table := recordedTable(t, rows)
	recipients, users := &recipient.Store{Table: table, Keys: keys}, &user.Store{Table: table, Keys: keys}
	approved := 0
	for _, row := range rows {
		if row.Kind != "recipient" {
			continue
		}
		r, err := recipients.Load(t.Context(), recipients.Key(row.Of))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Verifications {
			if found, err := recipients.LoadID(t.Context(), otp.Owner{}, v.ID); err != nil || !found.Knows(v.ID) || found.Address != r.Address {
				t.Errorf("%s: %s leads to %+v, %v", row.About, v.ID, found, err)
			}
			if v.Status != otp.Pending || v.Inbound() || v.TestCode != "" {
				continue
			}
			service := &otpverify.Service{
				Recipients: recipients, Users: users, Policy: otp.DefaultPolicy(), Now: func() time.Time { return v.ExpiresAt.Add(-time.Second) },
			}
			a, err := service.Check(t.Context(), otpverify.Request{ID: string(v.ID), Code: row.Codes[string(v.ID)], Transaction: v.Transaction})
			if err != nil || a.ID != v.ID || a.Status != otp.Approved {
				t.Errorf("%s: the code of %s: %+v, %v", row.About, v.ID, a, err)
				continue
			}
			approved++
			if again, err := service.Check(t.Context(), otpverify.Request{ID: string(v.ID), Code: row.Codes[string(v.ID)], Transaction: v.Transaction}); !problem.Is(err, problem.AlreadyUsed) {
				t.Errorf("%s: the code of %s again: %+v, %v", row.About, v.ID, again, err)
			}
		}
	}
	if approved < 5 {
		t.Errorf("only %d codes were approved", approved)
	}
}
