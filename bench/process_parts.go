package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// startUp takes turns starting the service and the bare server.
func (b *bench) startUp(context.Context) error {
	r := &rig{bin: b.bin, provider: newProvider(), numbers: new(numbers)}
	defer r.close()
	if err := r.startStorage(); err != nil {
		return err
	}
	var service, bare, quotient []float64
	for range b.starts {
		ours, err := b.startOnce(r, true)
		if err != nil {
			return err
		}
		theirs, err := b.startOnce(r, false)
		if err != nil {
			return err
		}
		service, bare = append(service, ours), append(bare, theirs)
		quotient = append(quotient, ours/theirs)
	}
	factor := median(service) / median(bare)
	b.say("From starting the process to its first answer (GET /), medians of %d starts, taken in turns; settings as in (b).", b.starts)
	b.table([]string{"bare server ms", "twofa ms", "twofa / bare", "median of the pairs' ratios", "goal at most", "met"},
		[][]string{{num(median(bare)), num(median(service)), "**" + num(factor) + "**", num(median(quotient)), num(goalBare), verdict(factor, goalBare)}})
	return nil
}

// startOnce is how many milliseconds one start takes.
func (b *bench) startOnce(r *rig, service bool) (float64, error) {
	addr, err := freeAddr()
	if err != nil {
		return 0, err
	}
	path, env, args := b.bin.bare, []string(nil), []string{"-addr", addr}
	if service {
		path, env, args = b.bin.twofa, r.settings(addr), nil
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

// sizes weighs the binaries, and processes that have answered once and waited.
func (b *bench) sizes(context.Context) error {
	r := &rig{bin: b.bin, provider: newProvider(), numbers: new(numbers)}
	defer r.close()
	if err := r.startStorage(); err != nil {
		return err
	}
	service, bare, err := b.idle(r)
	if err != nil {
		return err
	}
	ours, err := os.Stat(b.bin.twofa)
	if err != nil {
		return err
	}
	theirs, err := os.Stat(b.bin.bare)
	if err != nil {
		return err
	}
	resident := func(f footprint) float64 { return f.resident }
	private := func(f footprint) float64 { return f.private }
	size, factor := float64(ours.Size())/mb, of(service, resident)/of(bare, resident)
	b.say("Binaries are built as they ship (CGO_ENABLED=0, -trimpath, -ldflags \"-s -w\"). Memory is VmRSS a second or more after the first answer, the median of %d processes; "+
		"private is RssAnon, and the rest are pages of the binary itself, which the kernel shares and can drop. Memory after load is in (b).", idlers)
	b.table([]string{"", "bare server", "twofa", "twofa / bare", "goal at most", "met"}, [][]string{
		{"binary, MB", num(float64(theirs.Size()) / mb), "**" + num(size) + "**", num(size * mb / float64(theirs.Size())), num(goalSize) + " MB", verdict(size, goalSize)},
		{"idle memory, MB", num(of(bare, resident) / mb), num(of(service, resident) / mb), "**" + num(factor) + "**", num(goalBare), verdict(factor, goalBare)},
		{"of it private, MB", num(of(bare, private) / mb), num(of(service, private) / mb), num(of(service, private) / of(bare, private)), "", ""},
	})
	return nil
}

// footprint is memory in bytes.
type footprint struct{ resident, private float64 }

// idlers is how many processes of each kind wait side by side.
const idlers = 7

// idle is the memory of processes that have nothing to do.
func (b *bench) idle(r *rig) (service, bare []footprint, err error) {
	type idler struct {
		*process
		into *[]footprint
	}
	var all []idler
	for range idlers {
		ours, err := r.serve(b.bin.twofa, false, r.settings)
		if err != nil {
			return nil, nil, err
		}
		theirs, err := r.serve(b.bin.bare, false, nil)
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

// allocations counts what each server allocates.
func (b *bench) allocations(context.Context) error {
	r, err := newRig(b.bin, true)
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
		if _, err := r.all(t, compareAt, b.many/4); err != nil { // warm up
			return err
		}
		batch := r.batch(b.many / 2)
		for o := range operations {
			if err := measure(t, o, batch); err != nil {
				return err
			}
		}
	}
	if err := measure(r.yardstickPost, send, r.batch(b.many/2)); err != nil {
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
				append(row("send, the yardstick posting too", o, r.yardstickPost), num(factor(r.yardstickPost)), "", ""))
			continue
		}
		rows = append(rows, append(row(o.String(), o, r.yardstick), "**"+num(f)+"**", num(goalAllocs), verdict(f, goalAllocs)))
	}
	b.say("Heap objects (and bytes) an operation, of the whole process, net/http's included, as runtime.MemStats counts them. The binaries "+
		"are the same sources with a probe added by go build -overlay. %d operations at %d connections.", b.many/2, compareAt)
	b.table([]string{"operation", "bare server", "yardstick", "twofa", "twofa / yardstick", "goal at most", "met"}, rows)
	return nil
}
