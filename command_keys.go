package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"twofa/internal/app"
	"twofa/internal/config"
	"twofa/internal/oidckeys"
)

const keysUsage = `usage: twofa keys list
       twofa keys rotate [--now]
list prints the published keys that sign ID tokens, without their private parts.
rotate lets the next key sign, and makes a new next one. The next key has to be published
for 48 hours before.
  --now  for a key that has leaked: rotate at once, and publish the present key no more
On the embedded store, the service has to be stopped.
See docs/runbooks/rotate-signing-keys.md.
`

// keys runs the command that args name, on the store of the settings.
func (c *command) keys(ctx context.Context, name string, args []string) int {
	flags := flag.NewFlagSet("keys "+name, flag.ContinueOnError)
	leaked := new(bool)
	if name == "rotate" {
		leaked = flags.Bool("now", false, "")
	}
	if code, ok := c.parse(flags, keysUsage, args, 0); !ok {
		return code
	}
	return c.onStore(func(_ config.Settings, parts app.Parts) int {
		if name == "list" {
			return c.listKeys(ctx, app.SigningKeys(parts))
		}
		return c.rotateKeys(ctx, app.SigningKeys(parts), *leaked)
	})
}

// listKeys prints the published keys.
func (c *command) listKeys(ctx context.Context, keys *oidckeys.Store) int {
	set, err := keys.Read(ctx)
	if err == nil && set.IsZero() {
		err = oidckeys.ErrNone
	}
	if err != nil {
		return c.noKeys(ctx, err)
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tSTATE\tPUBLISHED SINCE\tSIGNS FROM") // Flush returns the error
	for _, k := range set.Published(keys.Now()) {
		state, from := "signs", k.SignsAt
		switch {
		case k.SignsAt.IsZero():
			state, from = "next", k.PublishedAt.Add(oidckeys.Lead)
		case !k.RetiredAt.IsZero():
			state = "retired"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.ID, state, inUTC(k.PublishedAt), inUTC(from))
	}
	if err := w.Flush(); err != nil {
		return exitStopped
	}
	return exitDone
}

// inUTC rounds up to the next second: nothing happens before the time that is printed.
func inUTC(t time.Time) string {
	return t.Add(time.Second - time.Nanosecond).UTC().Truncate(time.Second).Format(time.RFC3339)
}

// rotateKeys lets the next key sign, and prints what has changed.
func (c *command) rotateKeys(ctx context.Context, keys *oidckeys.Store, leaked bool) int {
	before, err := keys.Read(ctx)
	if err != nil {
		return c.noKeys(ctx, err)
	}
	set, err := keys.Rotate(ctx, leaked)
	if err != nil {
		return c.noKeys(ctx, err)
	}
	old, _ := before.Signing()
	signing, _ := set.Signing()
	next := set.Keys[len(set.Keys)-1]
	fate := "published no more: whoever reads the keys anew refuses what it has signed"
	if i := slices.IndexFunc(set.Keys, func(k oidckeys.Key) bool { return k.ID == old.ID }); i >= 0 {
		fate = "published until " + inUTC(set.Keys[i].RetiredAt.Add(oidckeys.Linger))
	}
	return c.print(fmt.Sprintf(`signs now      %s
signs no more  %s, %s
next           %s, published since now, may sign from %s
Processes of the service keep keys for up to %.0f seconds, relying parties for up to two days.
`, signing.ID, old.ID, fate, next.ID, inUTC(next.PublishedAt.Add(oidckeys.Lead)), oidckeys.MaxAge.Seconds()))
}

// noKeys says why nothing was listed or changed.
func (c *command) noKeys(ctx context.Context, err error) int {
	early, tooEarly := errors.AsType[*oidckeys.TooEarlyError](err)
	switch {
	case errors.Is(err, oidckeys.ErrNone):
		c.say("there are no keys yet: the service makes them when it is first asked for them, at /oidc/jwks")
	case tooEarly:
		c.say("not rotated: the next key has not been published for 48 hours, and relying parties may not know it yet. It works from %s on. If the present key has leaked: twofa keys rotate --now", inUTC(early.At))
	default:
		c.say("%s", why(ctx, err))
	}
	return exitStopped
}
