package userfile

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/phone"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// columns are those of a file of users, in the order in which Export writes them. The
// first four are required: if one of these were left out by mistake, every user would
// lose the data in it.
var columns = Columns{Names: []string{"name", "phone", "email", "secret", "locale", "channels", "authenticator"}, Required: 4}

// userLine is what a line says about a user.
type userLine struct {
	want        user.User
	app         totp.Authenticator // has no secret if the line has none
	contradicts bool               // an earlier line
}

// check makes all checks that need no store.
func (r *userLines) check(row Row) line {
	faults := new(problem.Faults)
	name, err := user.ParseName(row.Fields["name"])
	faults.AddAll(err)
	p := user.Profile{Directory: r.Directory, Name: name, Phone: row.Fields["phone"], Email: row.Fields["email"], Locale: row.Fields["locale"]}
	for _, c := range strings.FieldsFunc(row.Fields["channels"], func(r rune) bool { return r == ' ' || r == '|' }) {
		p.Channels = append(p.Channels, channel.Channel(c))
	}
	var l userLine
	var number address.Address
	l.want, number = p.Read(r.Channels, faults)
	l.app = readApp(row.Fields["secret"], row.Fields["authenticator"], faults)
	err = faults.Err()
	if err == nil && l.want.Phone != "" {
		err = number.MayReach(r.Countries)
	}
	if err != nil {
		return line{fault: reason(err)}
	}
	l.contradicts = r.known.contradicts(l.want)
	return line{key: name, contradicts: l.contradicts, write: func(ctx context.Context, t store.Table) (outcome, string, error) {
		return r.writeOne(ctx, t, l)
	}}
}

// readApp reads the columns secret and authenticator.
func readApp(secret, name string, faults *problem.Faults) (a totp.Authenticator) {
	secret = phone.Trim(secret)
	switch scheme, _, isURI := strings.Cut(secret, ":"); {
	case secret == "":
		if name != "" {
			faults.Add("authenticator", "There is a name and no secret.")
		}
		return a
	case isURI && strings.HasPrefix(strings.ToLower(scheme), "otpauth"):
		var err error
		a, _, _, err = totp.ParseURI(secret)
		faults.AddAll(err)
	default:
		raw, err := totp.ParseSecret(secret)
		faults.AddAll(err)
		a.Secret, a.Options = raw, totp.Options{}.Check(faults)
	}
	if name != "" {
		a.Name = totp.CheckName(name, faults)
	}
	return a
}

// columnOf returns the column of a field whose name is not the column's.
var columnOf = map[string]string{"user": "name", "uri": "secret", "name": "authenticator"}

// reason says in one line why a line was refused. It quotes nothing of the file.
func reason(err error) string {
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || e.Kind == problem.Internal {
		return "the stored user cannot be read or written"
	}
	return Reason(e, columnOf)
}

// memory holds the users of the last lines, about half a million, in little space.
// It only serves to report contradictions and to undo what a contradicted line has
// added. A forgotten user counts as a new one.
type memory struct {
	seed    maphash.Seed
	buckets [][bucketSize]trace
}

// trace is the hashes of a user's name and data.
type trace struct{ name, data uint64 }

const (
	memoryBuckets = 1 << 17 // of 64 bytes: 8 MiB in all
	bucketSize    = 4
)

func newMemory() *memory {
	return &memory{maphash.MakeSeed(), make([][bucketSize]trace, memoryBuckets)}
}

// contradicts stores the user, and reports whether the last line about the same
// user had other data.
func (m *memory) contradicts(u user.User) bool {
	now := trace{
		maphash.String(m.seed, u.Name),
		maphash.String(m.seed, strings.Join([]string{u.Phone, u.Email, u.Locale, joinChannels(u)}, "\x00")),
	}
	bucket := &m.buckets[now.name%memoryBuckets]
	last := bucketSize - 1
	before := trace{}
	for i, t := range bucket {
		if t.name == now.name {
			last, before = i, t
			break
		}
	}
	copy(bucket[1:last+1], bucket[:last]) // the newest is first, and the oldest is dropped
	bucket[0] = now
	return before.name == now.name && before.data != now.data
}
