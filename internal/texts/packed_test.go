package texts

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The embedded files are those of the catalogue: go generate ./internal/texts makes them.
func TestPackedFilesAreThoseOfTheCatalogue(t *testing.T) {
	files, err := filepath.Glob("catalogue/*.json")
	if err != nil || len(files) != len(embeddedTags()) {
		t.Fatalf("%d files, %d are embedded: %v", len(files), len(embeddedTags()), err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unpack("packed/" + filepath.Base(path) + ".gz"); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s was changed since: run go generate ./internal/texts (%v)", path, err)
		}
	}
}
