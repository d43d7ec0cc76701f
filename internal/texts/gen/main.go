// Command gen packs the texts of each language, catalogue/*.json, into packed/*.json.gz, which is what the
// program embeds. Run it after each change: go generate ./internal/texts.
package main

import (
	"bytes"
	"compress/gzip"
	"log"
	"os"
	"path/filepath"
)

func main() {
	files, err := filepath.Glob("catalogue/*.json")
	if err != nil || len(files) == 0 {
		log.Fatal("there are no files in catalogue")
	}
	for _, path := range files {
		if err := pack(path); err != nil {
			log.Fatal(err)
		}
	}
}

func pack(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("packed", filepath.Base(path)+".gz"), packed.Bytes(), 0o644)
}
