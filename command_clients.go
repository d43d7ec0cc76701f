package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/client"
	"twofa/internal/config"
)

const clientsUsage = `usage: twofa clients new ID [--verify]
       twofa clients list
       twofa clients check ID
new makes a secret for a client, prints it once, and prints the entry to add to the list
in TWOFA_CLIENTS. It stores nothing.
  --verify  also make an account SID and a service SID, for Twilio's Verify API
list prints the clients of TWOFA_CLIENTS.
check reads a secret from standard input, and says whether it is one of that client's:
exit code 0 if it is, 1 if not.
See docs/clients.md.
`

// clients runs the command that args name. It reads no setting but TWOFA_CLIENTS.
func (c *command) clients(name string, args []string) int {
	flags := flag.NewFlagSet("clients "+name, flag.ContinueOnError)
	verify, n := new(bool), 1
	switch name {
	case "new":
		verify = flags.Bool("verify", false, "")
		args = flagsFirst(flags, args)
	case "list":
		n = 0
	}
	if code, ok := c.parse(flags, clientsUsage, args, n); !ok {
		return code
	}
	if name == "new" {
		return c.newClient(flags.Arg(0), *verify)
	}
	registry, err := config.Clients()
	switch {
	case err != nil:
		c.say("%v", err)
		return exitStopped
	case registry == nil:
		c.say("TWOFA_CLIENTS is not set: there are no clients, and everybody who reaches the API may call it")
		return exitStopped
	case name == "list":
		return c.listClients(registry)
	}
	return c.checkClient(registry, flags.Arg(0))
}

// newEntry is the entry of a new client.
type newEntry struct {
	ID             string            `json:"id"`
	Secrets        []string          `json:"secrets"`
	Scopes         []client.Scope    `json:"scopes"`
	AccountSID     string            `json:"account_sid,omitempty"`
	VerifyServices map[string]string `json:"verify_services,omitempty"`
}

// newClient prints a new secret and the entry of its client.
func (c *command) newClient(id string, verify bool) int {
	secret, hash := client.NewSecret()
	e := newEntry{ID: id, Secrets: []string{hash}, Scopes: []client.Scope{client.ScopeSend, client.ScopeCheck}}
	if verify {
		e.Scopes = append(e.Scopes, client.ScopeVerify)
		e.AccountSID, e.VerifyServices = client.NewSID("AC"), map[string]string{client.NewSID("VA"): purposeOf(id)}
	}
	entry, err := json.Marshal(e, jsontext.SpaceAfterColon(true), jsontext.SpaceAfterComma(true))
	if err != nil {
		c.say("%q cannot be written as JSON", id)
		return exitStopped
	}
	if _, faults := client.Load("[" + string(entry) + "]"); len(faults) > 0 {
		c.say("the id has to be 1 to 64 characters of A-Z a-z 0-9 . _ and -")
		return exitStopped
	}
	return c.print(fmt.Sprintf(`The secret of this client. It is not kept anywhere, and not shown again:

%s

The entry to add to the list in TWOFA_CLIENTS:

%s
`, secret, entry))
}

// purposeOf returns a purpose for the service of a client, which no other client of this
// service most likely has: the id, as far as a purpose can have it.
func purposeOf(id string) string {
	purpose := strings.ReplaceAll(strings.ToLower(id), ".", "-")
	return purpose[:min(len(purpose), 32)]
}

// listClients prints the clients, without hashes.
func (c *command) listClients(registry *client.Registry) int {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tDIRECTORY\tSECRETS\tSCOPES") // Flush returns the error
	for _, known := range registry.Clients() {
		secrets := fmt.Sprint(registry.Secrets(known.ID))
		if known.Public {
			secrets = "public"
		}
		var scopes []string
		for _, s := range known.Scopes {
			scopes = append(scopes, string(s))
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", known.ID, known.Directory, secrets, strings.Join(scopes, " "))
	}
	if err := w.Flush(); err != nil {
		return exitStopped
	}
	return exitDone
}

// maxSecret is the longest secret in bytes that checkClient reads.
const maxSecret = 4 << 10

// checkClient says whether standard input has a secret of the client. A line break at the
// end is not part of it.
func (c *command) checkClient(registry *client.Registry, id string) int {
	text, err := io.ReadAll(io.LimitReader(c.stdin, maxSecret))
	if err != nil {
		c.say("the secret cannot be read from standard input")
		return exitStopped
	}
	known, ok := registry.Client(id)
	switch {
	case !ok:
		c.say("TWOFA_CLIENTS has no client %q", id)
		return exitStopped
	case known.Public:
		c.say("the client %s is public: it has no secret", id)
		return exitStopped
	}
	if _, ok := registry.Authenticate(id, strings.TrimRight(string(text), "\r\n")); !ok {
		c.say("this is not a secret of the client %s", id)
		return exitStopped
	}
	return c.print("this is a secret of the client " + id + "\n")
}
