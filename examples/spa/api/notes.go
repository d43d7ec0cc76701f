package main

import (
	"crypto/rand"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// note is one note of a person.
type note struct {
	ID     string    `json:"id"`
	Title  string    `json:"title"`
	Text   string    `json:"text"`
	MadeAt time.Time `json:"made_at"`
}

// The limits of notes: lengths in characters, and how many a person has.
const (
	maxTitle = 80
	maxText  = 1000
	maxNotes = 50
)

// notes are the notes of all people, by the person's sub: a number or an address can get another owner. Use newNotes.
type notes struct {
	mu  sync.Mutex
	all map[string][]note // the newest first
}

func newNotes() *notes { return &notes{all: make(map[string][]note)} }

func (n *notes) list(sub string) []note {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.all[sub])
}

// add keeps a note. If fields of it are at fault, it returns why: missing, too_long, taken or too_many.
func (n *notes) add(sub string, made note) (faults map[string]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	faults = make(map[string]string)
	length := utf8.RuneCountInString
	switch mine := n.all[sub]; {
	case made.Title == "":
		faults["title"] = "missing"
	case length(made.Title) > maxTitle:
		faults["title"] = "too_long"
	case slices.ContainsFunc(mine, func(other note) bool { return strings.EqualFold(other.Title, made.Title) }):
		faults["title"] = "taken"
	case len(mine) >= maxNotes:
		faults["title"] = "too_many"
	}
	switch {
	case made.Text == "":
		faults["text"] = "missing"
	case length(made.Text) > maxText:
		faults["text"] = "too_long"
	}
	if len(faults) == 0 {
		n.all[sub] = slices.Insert(n.all[sub], 0, made)
	}
	return faults
}

// remove deletes a note of the person. It reports whether there was one.
func (n *notes) remove(sub, id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := len(n.all[sub])
	n.all[sub] = slices.DeleteFunc(n.all[sub], func(other note) bool { return other.ID == id })
	return len(n.all[sub]) < before
}

func (s *server) listNotes(w http.ResponseWriter, _ *http.Request, who person) {
	mine := s.notes.list(who.Sub)
	if mine == nil {
		mine = []note{} // a list in JSON, never null
	}
	answer(w, http.StatusOK, map[string][]note{"notes": mine})
}

// addNote checks all that the page has checked: a request need not come from the page.
func (s *server) addNote(w http.ResponseWriter, r *http.Request, who person) {
	var typed struct{ Title, Text string }
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "send application/json")
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&typed); err != nil {
		refuse(w, http.StatusBadRequest, "send an object with title and text")
		return
	}
	made := note{rand.Text(), strings.TrimSpace(typed.Title), strings.TrimSpace(typed.Text), s.now().UTC().Truncate(time.Second)}
	if faults := s.notes.add(who.Sub, made); len(faults) > 0 {
		answer(w, http.StatusUnprocessableEntity, map[string]any{"faults": faults})
		return
	}
	answer(w, http.StatusCreated, made)
}

func (s *server) deleteNote(w http.ResponseWriter, r *http.Request, who person) {
	// A note that is not there is deleted: the page may have lost the first answer.
	_ = s.notes.remove(who.Sub, r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}
