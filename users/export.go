package users

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/user"
)

// Export writes all users to a file that Import reads. Its fields are set once,
// before Run.
type Export struct {
	Users *Service
	// Workers is how many users are read at a time.
	Workers int
	// Report is told of each user who cannot be read.
	Report func(text string)

	mu    sync.Mutex
	tally Exported
}

// Exported counts what was written. A user has a line for each confirmed
// authenticator app, and one without an app.
type Exported struct{ Users, Lines, Skipped int }

// Tally may be called while Run goes on.
func (ex *Export) Tally() Exported {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return ex.tally
}

// afterAll is later than the time until which any row is kept.
var afterAll = time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC)

// isUserKey reports whether a row is a user's: see user.Directory.Key. All other
// rows' keys are hexadecimal.
func isUserKey(key store.Key) bool { return strings.HasPrefix(string(key), "u") }

// Run lists the table and writes every user, whole addresses and secrets, a page
// at a time. Authenticators that were not confirmed are left out, as are recovery
// codes, of which only hashes are known.
//
// Users that come, go or change meanwhile are there as they were before or after.
// After an error the file is not complete. One that is not of w is of kind
// StorageUnavailable, or wraps a store's error.
func (ex *Export) Run(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	for cursor := ""; ; {
		page, err := ex.Users.Directory.Table.Expired(ctx, afterAll, cursor)
		if err != nil {
			return err
		}
		if err := ex.writePage(ctx, out, page.Rows); err != nil {
			return err
		}
		out.Flush()
		if err := out.Error(); err != nil {
			return err
		}
		if cursor = page.Next; cursor == "" {
			return ctx.Err()
		}
	}
}

// writePage reads a page's users side by side and writes them in order.
func (ex *Export) writePage(ctx context.Context, out *csv.Writer, rows []store.Ref) error {
	type loaded struct {
		user.User
		err error
	}
	users := make([]loaded, len(rows))
	turns := make(chan int)
	var readers sync.WaitGroup
	for range ex.Workers {
		readers.Go(func() {
			for i := range turns {
				users[i].User, users[i].err = ex.load(ctx, string(rows[i].Key))
			}
		})
	}
	for i, row := range rows {
		if isUserKey(row.Key) {
			turns <- i
		}
	}
	close(turns)
	readers.Wait()
	for i, u := range users {
		if err := ex.writeUser(out, string(rows[i].Key), u.User, u.err); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// load is Directory.Load, but for a user who lies where another belongs.
func (ex *Export) load(ctx context.Context, key string) (user.User, error) {
	u, err := ex.Users.Directory.Load(ctx, key)
	if err == nil && ex.Users.Directory.Key(u.Name) != key {
		err = sameName(u, "")
	}
	return u, err
}

// writeUser writes a user's lines, none for a row that is no user's, or no user's
// any more.
func (ex *Export) writeUser(out *csv.Writer, key string, u user.User, err error) error {
	lines := 0
	switch e, _ := errors.AsType[*problem.Error](err); {
	case e != nil && e.Kind == problem.NotFound:
		return nil
	case e != nil && e.Kind == problem.Internal:
		// The log names a user by the same digits.
		ex.Report(fmt.Sprintf("the user %s cannot be read, and is left out", key[1:min(9, len(key))]))
	case err != nil:
		return err
	case u.Name == "":
		return nil
	default:
		if lines, err = ex.writeLines(out, u); err != nil {
			return err
		}
	}
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.tally.Lines += lines
	if lines == 0 {
		ex.tally.Skipped++
	} else {
		ex.tally.Users++
	}
	return nil
}

func (ex *Export) writeLines(out *csv.Writer, u user.User) (lines int, err error) {
	write := func(secret, app string) error {
		lines++
		return out.Write([]string{u.Name, u.Phone, u.Email, secret, u.Locale, strings.Join(u.Channels, " "), app})
	}
	for _, a := range u.TOTP.Authenticators {
		if a.Pending() {
			continue
		}
		if err := write(a.URI(ex.Users.Brand, u.Name), a.Name); err != nil {
			return lines, err
		}
	}
	if lines == 0 {
		err = write("", "")
	}
	return lines, err
}
