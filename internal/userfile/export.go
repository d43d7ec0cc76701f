package userfile

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/user"
)

// Export writes the users of a directory to a file that Import reads. Its fields are
// set once, before Run.
type Export struct {
	Users     *user.Store
	Directory user.Directory
	// Issuer is the name that authenticator apps show for the service.
	Issuer string
	// Workers is how many users are read at a time.
	Workers int
	// Report is called for each user who cannot be read.
	Report func(text string)

	mu    sync.Mutex
	tally Exported
}

// Exported counts what was written. A user has a line for each confirmed
// authenticator app, or one line if there is no such app. Skipped users could not
// be read, so their directories are not known.
type Exported struct {
	Users, Lines, Skipped int
	// Others counts the users of other directories. nil: there are none.
	Others map[user.Directory]int
}

// Tally may be called while Run goes on.
func (ex *Export) Tally() Exported {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	tally := ex.tally
	tally.Others = maps.Clone(tally.Others)
	return tally
}

// Run lists the table and writes every user of the directory, with whole addresses
// and secrets. It leaves out pending authenticators, and recovery codes, of which only
// hashes are known.
//
// A user who is registered, changed or erased meanwhile is written as before or
// after that. After an error, the file is not complete. An error that is not w's
// is of kind StorageUnavailable, or wraps an error of the store.
func (ex *Export) Run(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns.Names); err != nil {
		return err
	}
	err := ex.Users.Each(ctx, ex.Workers, func(key otp.UserKey, u user.User, err error) error {
		return ex.writeUser(out, key, u, err)
	})
	out.Flush()
	return cmp.Or(err, out.Error())
}

// writeUser writes and counts a user's lines. err is the error of reading the user.
func (ex *Export) writeUser(out *csv.Writer, key otp.UserKey, u user.User, err error) error {
	lines := 0
	switch {
	case problem.Is(err, problem.Internal):
		ex.Report(fmt.Sprintf("the user %s cannot be read, and is left out", user.LogID(key)))
	case err != nil:
		return err
	case u.Directory == ex.Directory:
		if lines, err = ex.writeLines(out, u); err != nil {
			return err
		}
	}
	ex.count(u.Directory, lines)
	return nil
}

// count counts a user of whom lines were written. The directory is "" if the user
// could not be read.
func (ex *Export) count(directory user.Directory, lines int) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	switch {
	case directory == "":
		ex.tally.Skipped++
	case directory != ex.Directory:
		if ex.tally.Others == nil {
			ex.tally.Others = make(map[user.Directory]int)
		}
		ex.tally.Others[directory]++
	default:
		ex.tally.Users++
		ex.tally.Lines += lines
	}
}

func (ex *Export) writeLines(out *csv.Writer, u user.User) (lines int, err error) {
	write := func(secret, app string) error {
		lines++
		return out.Write([]string{u.Name, u.Phone, u.Email, secret, u.Locale, joinChannels(u), app})
	}
	for _, a := range u.TOTP.Confirmed() {
		if err := write(a.URI(ex.Issuer, u.Name), a.Name); err != nil {
			return lines, err
		}
	}
	if lines == 0 {
		err = write("", "")
	}
	return lines, err
}

// joinChannels returns the user's channels as a file has them.
func joinChannels(u user.User) string {
	var names []string
	for _, c := range u.Channels {
		names = append(names, string(c))
	}
	return strings.Join(names, " ")
}
