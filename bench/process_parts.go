package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// startUp measures starts of the service and of the bare server, in turns.
func (m *measurement) startUp(context.Context) error {
	r, err := newStorageRig(m.bin)
	if err != nil {
		return err
	}
	defer r.close()
	var service, bare, quotient []float64
	for range m.starts {
		ours, err := m.startOnce(r, true)
		if err != nil {
			return err
		}
		theirs, err := m.startOnce(r, false)
		if err != nil {
			return err
		}
		service, bare = append(service, ours), append(bare, theirs)
		quotient = append(quotient, ours/theirs)
	}
	factor := median(service) / median(bare)
	m.say("From starting the process to its first answer (GET /), medians of %d starts, in turns, with the settings of (b).", m.starts)
	m.table([]string{"bare server ms", "twofa ms", "twofa / bare", "median of the pairs' ratios", "goal at most", "met"},
		[][]string{{num(median(bare)), num(median(service)), "**" + num(factor) + "**", num(median(quotient)), num(goalBare), metText(factor, goalBare)}})
	return nil
}

// startOnce returns the duration of one start in milliseconds.
func (m *measurement) startOnce(r *rig, service bool) (float64, error) {
	addr, err := freeAddr()
	if err != nil {
		return 0, err
	}
	path, env, args := m.bin.bare, []string(nil), []string{"-addr", addr}
	if service {
		path, env, args = m.bin.twofa, r.settings(addr), nil
	}
	began := time.Now()
	p, err := launch(path, addr, "", env, args...)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	if err := p.awaitAnswer(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", path, err, p.fault)
	}
	return float64(time.Since(began).Microseconds()) / 1000, nil
}

// sizes measures the sizes of the binaries, and the memory of idle processes.
func (m *measurement) sizes(context.Context) error {
	r, err := newStorageRig(m.bin)
	if err != nil {
		return err
	}
	defer r.close()
	service, bare, err := m.idle(r)
	if err != nil {
		return err
	}
	ours, err := os.Stat(m.bin.twofa)
	if err != nil {
		return err
	}
	theirs, err := os.Stat(m.bin.bare)
	if err != nil {
		return err
	}
	resident := func(f footprint) float64 { return f.resident }
	private := func(f footprint) float64 { return f.private }
	size, factor := float64(ours.Size())/mb, medianOf(service, resident)/medianOf(bare, resident)
	m.say("Binaries are built as they ship (CGO_ENABLED=0, -trimpath, -ldflags \"-s -w\"). Memory is VmRSS a second or more after the first answer, the median of %d processes; "+
		"private memory is RssAnon. The rest is pages of the binary, which the kernel shares and can drop. Memory after load is in (b).", idlers)
	m.table([]string{"", "bare server", "twofa", "twofa / bare", "goal at most", "met"}, [][]string{
		{"binary, MB", num(float64(theirs.Size()) / mb), "**" + num(size) + "**", num(size * mb / float64(theirs.Size())), num(goalSize) + " MB", metText(size, goalSize)},
		{"idle memory, MB", num(medianOf(bare, resident) / mb), num(medianOf(service, resident) / mb), "**" + num(factor) + "**", num(goalBare), metText(factor, goalBare)},
		{"of that, private, MB", num(medianOf(bare, private) / mb), num(medianOf(service, private) / mb), num(medianOf(service, private) / medianOf(bare, private)), "", ""},
	})
	return nil
}

// footprint is memory in bytes.
type footprint struct{ resident, private float64 }

// idlers is the number of idle processes of each kind.
const idlers = 7

// idle returns the memory of processes that have answered once and then waited a second.
func (m *measurement) idle(r *rig) (service, bare []footprint, err error) {
	type idler struct {
		*process
		into *[]footprint
	}
	var all []idler
	for range idlers {
		ours, err := r.serve(m.bin.twofa, false, r.settings)
		if err != nil {
			return nil, nil, err
		}
		theirs, err := r.serve(m.bin.bare, false, nil)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, idler{ours, &service}, idler{theirs, &bare})
	}
	time.Sleep(time.Second)
	for _, p := range all {
		resident, err := p.memory("VmRSS")
		if err != nil {
			return nil, nil, err
		}
		private, err := p.memory("RssAnon")
		if err != nil {
			return nil, nil, err
		}
		*p.into = append(*p.into, footprint{resident, private})
	}
	return service, bare, nil
}

// allocations measures the heap allocations of each server.
func (m *measurement) allocations(context.Context) error {
	r, err := newRig(m.bin, true)
	if err != nil {
		return err
	}
	defer r.close()
	type cost struct{ objects, bytes float64 }
	costs := map[string]cost{}
	measure := func(t *target, o operation, batch *batch) error {
		objects, bytes, err := t.proc.allocs()
		if err != nil {
			return err
		}
		if _, err := t.run(o, batch, compareAt); err != nil {
			return err
		}
		objectsAfter, bytesAfter, err := t.proc.allocs()
		n := float64(len(batch.numbers))
		costs[runName(t.name, o, compareAt)] = cost{(objectsAfter - objects) / n, (bytesAfter - bytes) / n}
		return err
	}
	targets := []*target{r.bare, r.yardstick, r.twofa}
	for _, t := range targets {
		if _, err := r.all(t, compareAt, m.many/4); err != nil { // warm up
			return err
		}
		batch := r.batch(m.many / 2)
		for o := range operations {
			if err := measure(t, o, batch); err != nil {
				return err
			}
		}
	}
	if err := measure(r.yardstickPost, send, r.batch(m.many/2)); err != nil {
		return err
	}
	rows := [][]string{}
	row := func(title string, o operation, yardstick *target) []string {
		cells := []string{title}
		for _, t := range []*target{r.bare, yardstick, r.twofa} {
			c := costs[runName(t.name, o, compareAt)]
			cells = append(cells, fmt.Sprintf("%.0f (%s kB)", c.objects, num(c.bytes/1000)))
		}
		return cells
	}
	for o := range operations {
		factor := func(yardstick *target) float64 {
			return costs[runName(r.twofa.name, o, compareAt)].objects / costs[runName(yardstick.name, o, compareAt)].objects
		}
		f := factor(r.yardstick)
		if o == send {
			rows = append(rows, append(row(o.String(), o, r.yardstick), num(f), "", ""),
				append(row("send, the yardstick posts too", o, r.yardstickPost), num(factor(r.yardstickPost)), "", ""))
			continue
		}
		rows = append(rows, append(row(o.String(), o, r.yardstick), "**"+num(f)+"**", num(goalAllocs), metText(f, goalAllocs)))
	}
	m.say("Heap objects (and bytes) per operation, of the whole process including net/http, as runtime.MemStats counts them. The binaries "+
		"are built from the same sources, with a probe that go build -overlay adds. %d operations at %d connections.", m.many/2, compareAt)
	m.table([]string{"operation", "bare server", "yardstick", "twofa", "twofa / yardstick", "goal at most", "met"}, rows)
	return nil
}
