package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// account is a customer.
type account struct {
	Name string
	salt [16]byte
	hash []byte
	open bool // false until twofa has the customer's address

	Balance int64               // cents
	Paid    []paid              // the newest first
	known   [][sha256.Size]byte // the hashes of the cookies of known browsers
}

// paid is a payment that was made.
type paid struct {
	ID     string
	Payee  string
	Amount string
	How    string // how it was approved
}

// startBalance is the balance of a new account, in cents.
const startBalance = 2451_80

// maxKnown is how many browsers an account knows. The oldest one is forgotten.
const maxKnown = 5

// accounts are all customers, by name in lower case. Use newAccounts.
type accounts struct {
	mu  sync.Mutex
	all map[string]account
	// turn lets one password be hashed at a time, so that many logins use little memory.
	turn chan struct{}
}

func newAccounts() *accounts {
	return &accounts{all: make(map[string]account), turn: make(chan struct{}, 1)}
}

// The parameters of argon2id that OWASP recommends: 19 MiB, two passes, one thread.
const (
	passes  = 2
	memory  = 19 * 1024 // KiB
	threads = 1
	length  = 32 // bytes
)

// The limits of a password, in characters.
const (
	minPassword = 10
	maxPassword = 128
)

// maxTurn is how long a login waits for the passwords before it.
const maxTurn = 5 * time.Second

// The refusals of accounts.
var (
	errName     = errors.New("the name has a character or a length that names do not have")
	errPassword = errors.New("the password is too short or too long")
	errTaken    = errors.New("the name is taken")
	errWrong    = errors.New("the name or the password is wrong")
	errBusy     = errors.New("too many passwords are being checked")
	errFunds    = errors.New("the balance is too low")
)

var validName = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N}.-]{0,39}$`)

func (a *accounts) hash(ctx context.Context, password string, salt [16]byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTurn)
	defer cancel()
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, errBusy
	}
	defer func() { <-a.turn }()
	return argon2.IDKey([]byte(password), salt[:], passes, memory, threads, length), nil
}

// reserve takes a name. Nobody can log in until open. Errors: errName, errPassword, errTaken,
// errBusy.
func (a *accounts) reserve(ctx context.Context, name, password string) error {
	switch n := utf8.RuneCountInString(password); {
	case !validName.MatchString(name):
		return errName
	case n < minPassword || n > maxPassword:
		return errPassword
	}
	made := account{Name: name, Balance: startBalance}
	_, _ = rand.Read(made.salt[:]) // never fails
	hash, err := a.hash(ctx, password, made.salt)
	if err != nil {
		return err
	}
	made.hash = hash
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, taken := a.all[strings.ToLower(name)]; taken {
		return errTaken
	}
	a.all[strings.ToLower(name)] = made
	return nil
}

// open makes a reserved account usable.
func (a *accounts) open(name string) {
	a.change(name, func(made *account) { made.open = true })
}

// change changes the account of that name, if there is one.
func (a *accounts) change(name string, change func(*account)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.all[strings.ToLower(name)]
	if !ok {
		return
	}
	change(&found)
	a.all[strings.ToLower(name)] = found
}

// find returns an open account.
func (a *accounts) find(name string) (found account, ok bool) {
	a.change(name, func(is *account) { found, ok = *is, is.open })
	return found, ok
}

// made reports whether a payment was made.
func (a *accounts) made(name, id string) bool {
	found, _ := a.find(name)
	return slices.ContainsFunc(found.Paid, func(p paid) bool { return p.ID == id })
}

// pay makes a payment, once: a payment that was made before is no error. Error: errFunds.
func (a *accounts) pay(name string, p paid, cents int64) (err error) {
	a.change(name, func(of *account) {
		switch {
		case slices.ContainsFunc(of.Paid, func(old paid) bool { return old.ID == p.ID }):
		case cents > of.Balance:
			err = errFunds
		default:
			of.Balance -= cents
			of.Paid = append([]paid{p}, of.Paid...)
		}
	})
	return err
}

// knows reports whether an account was used in the browser with that cookie.
func (a *accounts) knows(name, cookie string) bool {
	found, _ := a.find(name)
	return slices.Contains(found.known, sha256.Sum256([]byte(cookie)))
}

// remember makes the browser with that cookie known to an account.
func (a *accounts) remember(name, cookie string) {
	a.change(name, func(of *account) {
		of.known = append([][sha256.Size]byte{sha256.Sum256([]byte(cookie))}, of.known...)
		of.known = of.known[:min(len(of.known), maxKnown)]
	})
}

// release gives a reserved name back.
func (a *accounts) release(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, strings.ToLower(name))
}

// login returns the account if the password is right. An unknown name takes as long as a wrong
// password, and gets the same answer. Errors: errWrong, errBusy.
func (a *accounts) login(ctx context.Context, name, password string) (account, error) {
	a.mu.Lock()
	found := a.all[strings.ToLower(name)] // without a hash if there is none: then nothing is equal
	a.mu.Unlock()
	if utf8.RuneCountInString(password) > maxPassword {
		password = ""
	}
	hash, err := a.hash(ctx, password, found.salt)
	if err != nil {
		return account{}, err
	}
	if subtle.ConstantTimeCompare(hash, found.hash) != 1 || !found.open {
		return account{}, errWrong
	}
	return found, nil
}
