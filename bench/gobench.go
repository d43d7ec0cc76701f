package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// benchmarked are the packages with benchmarks that need no other process.
var benchmarked = []string{"./internal/otp", "./internal/secret", "./internal/phone", "./handler", "./pages", "./oidc"}

// goBenchmarks runs go test -bench and reports the results as a table.
func (m *measurement) goBenchmarks(ctx context.Context) error {
	args := append([]string{"test", "-run", "^$", "-bench", ".", "-benchmem",
		"-benchtime", m.benchtime, "-count", strconv.Itoa(m.count)}, benchmarked...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = m.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	type key struct{ pkg, name string }
	values := map[key]map[string][]float64{} // by unit
	var order []key
	pkg := ""
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == "pkg:" {
			pkg = strings.TrimPrefix(fields[1], "twofa/")
		}
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "Benchmark"), "-")
		k := key{pkg, name}
		if values[k] == nil {
			values[k] = map[string][]float64{}
			order = append(order, k)
		}
		for i := 2; i+1 < len(fields); i += 2 { // pairs of value and unit
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("a line of go test: %q", line)
			}
			values[k][fields[i+1]] = append(values[k][fields[i+1]], v)
		}
	}
	if len(order) == 0 {
		return fmt.Errorf("go test ran no benchmarks:\n%s", out)
	}
	rows := [][]string{}
	for _, k := range order {
		v := values[k]
		trips := ""
		if n := v["trips"]; n != nil {
			trips = fmt.Sprintf("%.0f", median(n))
		}
		rows = append(rows, []string{k.pkg, k.name, fmt.Sprintf("%.0f", median(v["ns/op"])),
			fmt.Sprintf("%.0f", median(v["B/op"])), fmt.Sprintf("%.0f", median(v["allocs/op"])), trips})
	}
	m.say("`go %s`, medians. The benchmarks of package handler measure the whole service in process, without HTTP connections, over a table in memory. Those of package pages measure it over the embedded store. Those of package oidc are of a whole sign-in, over a table in memory: the app's request, the number, the code, the consent, the token and userinfo, and of the next sign-in in the same browser. Trips are those of the storage.", strings.Join(args, " "))
	m.table([]string{"package", "benchmark", "ns/op", "B/op", "allocs/op", "storage trips"}, rows)
	return nil
}
