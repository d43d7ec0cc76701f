package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// levels are the numbers of connections. CPU times are compared at compareAt connections.
var levels = []int{1, 16, 64}

const compareAt = 16

// The goals. Most are factors of the comparison server's value.
const (
	goalCheck  = 1.7  // CPU time of a check, factor of the yardstick
	goalStart  = 2.0  // CPU time of a send, factor of the yardstick
	goalAllocs = 1.3  // heap objects of a check, factor of the yardstick
	goalBare   = 1.6  // start time and memory, factor of the bare server
	goalSize   = 12.0 // MB
	goalTrips  = 2    // storage round trips in a check
)

// runs are all samples by runName.
type runs map[string][]sample

func runName(t string, o operation, conns int) string { return fmt.Sprint(t, "/", o, "/", conns) }

func (m *measurement) underLoad(context.Context) error {
	r, err := newRig(m.bin, false)
	if err != nil {
		return err
	}
	defer r.close()
	targets := []*target{r.twofa, r.yardstick, r.bare}
	for _, t := range targets { // warm up: connections, heaps, tables
		if _, err := r.all(t, slices.Max(levels), m.many/2); err != nil {
			return err
		}
	}
	all := runs{}
	for range m.rounds {
		for _, conns := range levels {
			passes := 1
			if conns == compareAt {
				passes = 2 // more passes for the comparison
			}
			for range passes {
				if err := m.pass(r, targets, conns, all); err != nil {
					return err
				}
				slices.Reverse(targets) // so that a slow minute does not always affect the same target
			}
		}
	}
	m.say("The service, the yardstick (the bare server with the same two calls of aztables and the same tuning) "+
		"and a bare net/http server, each in its own process, with one table server in memory. All read the same JSON and "+
		"answer the same bytes. A send also posts the message to a provider on loopback. Driver, storage and provider share the machine's "+
		"processors, so requests per second say little about other machines. Medians of %d rounds, with two passes each at %d connections; ratios are computed pass by pass.", m.rounds, compareAt)
	m.say("\n### CPU time of the server's process, microseconds per operation, at %d connections", compareAt)
	m.cpuTable(r, all)
	m.say("### Requests per second and latency")
	m.loadTable([]*target{r.twofa, r.yardstick, r.bare}, all)
	rows := [][]string{}
	for _, t := range []*target{r.twofa, r.yardstick, r.bare} {
		now, err1 := t.proc.memory("VmRSS")
		peak, err2 := t.proc.memory("VmHWM")
		if err1 != nil || err2 != nil {
			return fmt.Errorf("memory of %s: %w", t.name, err1)
		}
		rows = append(rows, []string{t.name, num(now / mb), num(peak / mb)})
	}
	m.say("Resident memory after this load:")
	m.table([]string{"process", "MB now", "MB at the peak"}, rows)
	return nil
}

// pass runs the operations once for each target.
func (m *measurement) pass(r *rig, targets []*target, conns int, all runs) error {
	for _, t := range targets {
		n := m.many
		if conns == 1 {
			n = m.one
		}
		if t == r.bare {
			n *= m.bareTimes
		}
		samples, err := r.all(t, conns, n)
		if err != nil {
			return err
		}
		for o, s := range samples {
			name := runName(t.name, operation(o), conns)
			all[name] = append(all[name], s)
		}
	}
	if conns != compareAt {
		return nil
	}
	s, err := r.yardstickPost.run(send, r.batch(m.many), conns)
	name := runName(r.yardstickPost.name, send, conns)
	all[name] = append(all[name], s)
	return err
}

// ratios returns the quotients of two targets' CPU times, pass by pass, sorted.
func ratios(a, c []sample) []float64 {
	q := make([]float64, len(a))
	for i := range a {
		q[i] = a[i].cpu / c[i].cpu
	}
	slices.Sort(q)
	return q
}

func span(q []float64) string { return num(q[0]) + " to " + num(q[len(q)-1]) }

func (m *measurement) cpuTable(r *rig, all runs) {
	rows := [][]string{}
	cpu := func(s sample) float64 { return s.cpu }
	for o := range operations {
		goal := goalCheck
		if o == send {
			goal = goalStart
		}
		get := func(t *target) []sample { return all[runName(t.name, o, compareAt)] }
		ours, yard, bare := get(r.twofa), get(r.yardstick), get(r.bare)
		all := ratios(ours, yard)
		factor := median(all)
		rows = append(rows, []string{
			o.String(), num(medianOf(bare, cpu)), num(medianOf(yard, cpu)), num(medianOf(ours, cpu)),
			num(median(ratios(ours, bare))), "**" + num(factor) + "**", span(all), num(goal), metText(factor, goal),
		})
		if o == send {
			post := get(r.yardstickPost)
			rows = append(rows, []string{
				"send, the yardstick posts too", num(medianOf(bare, cpu)), num(medianOf(post, cpu)), num(medianOf(ours, cpu)),
				num(median(ratios(ours, bare))), num(median(ratios(ours, post))), span(ratios(ours, post)), "", "",
			})
		}
	}
	m.table([]string{"operation", "bare server", "yardstick", "twofa", "twofa / bare", "twofa / yardstick", "from, to", "goal at most", "met"}, rows)
}

func (m *measurement) loadTable(targets []*target, all runs) {
	rows := [][]string{}
	for _, conns := range levels {
		for o := range operations {
			for _, t := range targets {
				s := all[runName(t.name, o, conns)]
				rows = append(rows, []string{
					fmt.Sprint(conns), o.String(), t.name,
					num(medianOf(s, func(s sample) float64 { return s.perSecond })),
					num(medianOf(s, func(s sample) float64 { return s.p50 })),
					num(medianOf(s, func(s sample) float64 { return s.p99 })),
				})
			}
		}
	}
	m.table([]string{"connections", "operation", "server", "requests/s", "p50 ms", "p99 ms"}, rows)
}

// manyRows measures checks with more and more rows of other recipients in the table.
func (m *measurement) manyRows(context.Context) error {
	r, err := newRig(m.bin, false)
	if err != nil {
		return err
	}
	defer r.close()
	if _, err := r.all(r.twofa, compareAt, m.many/2); err != nil {
		return err
	}
	rows := [][]string{}
	stored := 0
	var first float64
	for _, want := range m.rows {
		// The rows of the measured numbers are not included.
		if err := r.tell(fmt.Sprintf("/fill?table=%s&rows=%d&data=%d", table, want-stored, r.data)); err != nil {
			return err
		}
		stored = want
		if err := r.tell("/reset"); err != nil {
			return err
		}
		var checks []sample
		for range m.rounds {
			samples, err := r.all(r.twofa, compareAt, m.many/2)
			if err != nil {
				return err
			}
			checks = append(checks, samples[wrong])
		}
		cpu := medianOf(checks, func(s sample) float64 { return s.cpu })
		if first == 0 {
			first = cpu
		}
		s, err := r.stats()
		if err != nil {
			return err
		}
		n := float64(int64(operations) * int64(m.rounds) * int64(m.many/2))
		rows = append(rows, []string{
			fmt.Sprint(want), num(cpu), num(cpu / first),
			num(medianOf(checks, func(s sample) float64 { return s.p50 })),
			num(float64(s.Get) / n), num(float64(s.Insert+s.Replace) / n), fmt.Sprint(s.Query),
		})
	}
	m.say("Wrong checks at %d connections, with other rows in the same table. These rows have %d bytes of data, like the service's own rows. "+
		"Reads, writes and queries are the sums of all three operations, as counted by the storage.", compareAt, r.data)
	m.table([]string{"rows", "CPU µs per check", "relative to the first", "p50 ms", "point reads per operation", "writes per operation", "queries"}, rows)
	return nil
}

// slowStorage measures with a pause before each answer of the storage.
func (m *measurement) slowStorage(context.Context) error {
	r, err := newRig(m.bin, false)
	if err != nil {
		return err
	}
	defer r.close()
	const latency = 5 * time.Millisecond
	if err := r.tell("/latency?d=" + latency.String()); err != nil {
		return err
	}
	limit := float64(goalTrips*latency) / float64(time.Millisecond)
	rows := [][]string{}
	for _, t := range []*target{r.twofa, r.yardstick} {
		var checks []sample
		for range m.rounds {
			samples, err := r.all(t, 1, m.slow)
			if err != nil {
				return err
			}
			checks = append(checks, samples[right])
		}
		p50 := medianOf(checks, func(s sample) float64 { return s.p50 })
		rows = append(rows, []string{t.name, num(p50), num(p50 / limit)})
	}
	m.say("Right checks, one at a time, with a storage that waits %s before each answer. Two trips take at least %s ms. "+
		"The yardstick shows how much longer the pauses are in reality.", latency, num(limit))
	m.table([]string{"server", "p50 ms", "relative to the limit"}, rows)

	const conns = 64
	if err := r.tell("/reset"); err != nil {
		return err
	}
	before, err := r.stats()
	if err != nil {
		return err
	}
	if _, err := r.all(r.twofa, conns, 20*m.slow); err != nil {
		return err
	}
	s, err := r.stats()
	if err != nil {
		return err
	}
	m.say("%d operations of the service over %d connections at the same latency: the service opened **%d** connections to the storage, at most %d at a time "+
		"(%d of them were open and idle before), %s times the peak concurrency; goal at most 2: %s.",
		3*20*m.slow, conns, s.Connections, s.Peak, before.Peak, num(float64(s.Connections)/conns), metText(float64(s.Connections)/conns, 2))
	m.say("")
	return nil
}
