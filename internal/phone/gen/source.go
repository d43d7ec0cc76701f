package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
)

// The files of the source, in gen/source. They are copies from the npm package
// libphonenumber-js, which has Google's metadata as JSON. versionFile says which
// version, and the hash of the metadata.
const (
	sourceFolder = "source"
	metadataFile = "metadata.max.json"
	examplesFile = "examples.mobile.json"
	licenseFile  = "LICENSE"
	versionFile  = "version.json"
)

// version is the content of versionFile.
type version struct {
	Package string `json:"package"` // of npm
	Version string `json:"version"` // of the package
	Google  string `json:"google"`  // the version of Google's metadata
	SHA256  string `json:"sha256"`  // of metadataFile, in hexadecimal
}

// copySource copies the source from an installed package, and writes versionFile.
func copySource(installed, to string) error {
	read := func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(installed, name)) }
	manifest, err := read("package.json")
	if err != nil {
		return err
	}
	var npm struct{ Name, Version string }
	if err := json.Unmarshal(manifest, &npm); err != nil {
		return err
	}
	changes, err := read("CHANGELOG.md")
	if err != nil {
		return err
	}
	// The newest entry that updates the metadata is the first one.
	google := regexp.MustCompile(`\n\* Updated metadata to version ([0-9.]+):`).FindSubmatch(changes)
	if google == nil {
		return errors.New("the package's change log does not name a version of the metadata")
	}
	v := version{Package: npm.Name, Version: npm.Version, Google: string(google[1])}
	for _, name := range []string{metadataFile, examplesFile, licenseFile} {
		content, err := read(name)
		if err != nil {
			return err
		}
		if name == metadataFile {
			v.SHA256 = fmt.Sprintf("%x", sha256.Sum256(content))
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, versionFile), append(text, '\n'), 0o644)
}

// A source is the metadata of all regions.
type source struct {
	version version
	// codes has the regions of each calling code, the main one first. A calling code
	// that belongs to no country has the region 001.
	codes map[string][]string
	plans map[string]plan // by region, or by calling code if that belongs to no country
}

const nonGeographic = "001"

// plan returns the plan of a region under a calling code.
func (s source) plan(code, region string) (plan, bool) {
	if region == nonGeographic {
		region = code
	}
	p, ok := s.plans[region]
	return p, ok
}

// A plan is the metadata of one region, as far as the tables need it.
type plan struct {
	pattern, prefix, transform, leadingDigits string
	lengths                                   []int32
	types                                     [len(typeNames)]expression
}

// An expression describes the numbers of one type. Empty pattern: there are none.
// Empty lengths: those of the plan.
type expression struct {
	pattern string
	lengths []int32
}

// typeNames are the constants of package phone, in the order of the source.
var typeNames = [...]string{
	"FixedLine", "Mobile", "TollFree", "PremiumRate", "PersonalNumber", "Voicemail", "UAN", "Pager", "VoIP", "SharedCost",
}

// readSource reads the metadata. It fails if the file is not the one that
// versionFile describes.
func readSource(folder string) (source, error) {
	s := source{plans: map[string]plan{}}
	content, err := os.ReadFile(filepath.Join(folder, versionFile))
	if err != nil {
		return source{}, err
	}
	if err := json.Unmarshal(content, &s.version); err != nil {
		return source{}, fmt.Errorf("%s: %w", versionFile, err)
	}
	content, err = os.ReadFile(filepath.Join(folder, metadataFile))
	if err != nil {
		return source{}, err
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(content)); sum != s.version.SHA256 {
		return source{}, fmt.Errorf("%s has the SHA-256 %s, and %s says %s", metadataFile, sum, versionFile, s.version.SHA256)
	}
	var file struct {
		Version       int                   `json:"version"`
		Codes         map[string][]string   `json:"country_calling_codes"`
		Countries     map[string]planFields `json:"countries"`
		NonGeographic map[string]planFields `json:"nonGeographic"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return source{}, fmt.Errorf("%s: %w", metadataFile, err)
	}
	if file.Version != 4 {
		return source{}, fmt.Errorf("%s has the format %d, and the generator knows format 4 only", metadataFile, file.Version)
	}
	s.codes = file.Codes
	for code := range file.NonGeographic {
		s.codes[code] = []string{nonGeographic}
	}
	maps.Copy(file.Countries, file.NonGeographic)
	for region, fields := range file.Countries {
		if s.plans[region], err = fields.read(); err != nil {
			return source{}, fmt.Errorf("%s: %s: %w", metadataFile, region, err)
		}
	}
	return s, nil
}

// planFields is a plan as it is in the file: an array, whose absent texts are 0.
type planFields []json.RawMessage

func (f planFields) read() (plan, error) {
	var p plan
	err := errors.Join(
		f.text(2, &p.pattern), f.value(3, &p.lengths), f.text(7, &p.prefix), f.text(8, &p.transform), f.text(10, &p.leadingDigits))
	if err == nil && p.prefix == "" {
		err = f.text(5, &p.prefix) // the national prefix, which is then the prefix to parse
	}
	var types []json.RawMessage
	if err = errors.Join(err, f.value(11, &types)); err != nil {
		return plan{}, err
	}
	if len(types) > len(typeNames) || p.pattern == "" || len(p.lengths) == 0 {
		return plan{}, errors.New("the fields are not those of format 4")
	}
	for i, raw := range types {
		if p.types[i], err = readExpression(raw); err != nil {
			return plan{}, err
		}
		// A mobile pattern that is there and empty is the pattern of fixed lines.
		if typeNames[i] == "Mobile" && string(raw) != "0" && p.types[i].pattern == "" {
			p.types[i] = p.types[i-1]
		}
	}
	return p, nil
}

func readExpression(raw json.RawMessage) (e expression, err error) {
	if string(raw) == "0" {
		return e, nil
	}
	var fields planFields
	if err := json.Unmarshal(raw, &fields); err != nil {
		return e, err
	}
	err = fields.text(0, &e.pattern)
	if len(fields) > 1 {
		err = errors.Join(err, fields.value(1, &e.lengths))
	}
	return e, err
}

// text reads a text, which is 0 if it is absent.
func (f planFields) text(i int, to *string) error {
	if i < len(f) && string(f[i]) == "0" {
		return nil
	}
	return f.value(i, to)
}

func (f planFields) value(i int, to any) error {
	if i >= len(f) {
		return fmt.Errorf("field %d is missing", i)
	}
	return json.Unmarshal(f[i], to)
}
