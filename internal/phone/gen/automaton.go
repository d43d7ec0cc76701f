package main

import (
	"encoding/binary"
	"fmt"
	"regexp/syntax"
	"slices"
)

// A pattern is a regular expression that has to match a whole string of digits. It
// is made deterministic state by state, when a state is used for the first time.
type pattern struct {
	prog   *syntax.Prog
	states []patternState
	byKey  map[string]int
}

type patternState struct {
	insts   []uint32 // the rune instructions that may consume the next digit, sorted
	match   bool
	next    [10]int
	stepped bool // next is filled
}

// dead is the state from which no digits lead to a match.
const dead = 0

func newPattern(expr string) (*pattern, error) {
	re, err := syntax.Parse(expr, syntax.Perl) // as regexp.Compile does, which the library uses
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, err
	}
	for _, inst := range prog.Inst {
		if inst.Op == syntax.InstEmptyWidth {
			return nil, fmt.Errorf("pattern %q has an anchor or a word boundary, which an automaton over digits cannot express", expr)
		}
	}
	p := &pattern{prog: prog, byKey: map[string]int{}}
	p.intern(nil) // becomes dead
	return p, nil
}

func (p *pattern) start() int { return p.intern([]uint32{uint32(p.prog.Start)}) }

// intern returns the state in which the instructions insts may follow.
func (p *pattern) intern(insts []uint32) int {
	var s patternState
	seen := map[uint32]bool{}
	var follow func(pc uint32)
	follow = func(pc uint32) {
		if seen[pc] {
			return
		}
		seen[pc] = true
		switch inst := p.prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			follow(inst.Out)
			follow(inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			follow(inst.Out)
		case syntax.InstMatch:
			s.match = true
		case syntax.InstFail:
		default:
			s.insts = append(s.insts, pc)
		}
	}
	for _, pc := range insts {
		follow(pc)
	}
	slices.Sort(s.insts)
	key := fmt.Sprint(s.match, s.insts)
	if id, ok := p.byKey[key]; ok {
		return id
	}
	id := len(p.states)
	p.byKey[key] = id
	p.states = append(p.states, s)
	return id
}

func (p *pattern) step(state, digit int) int {
	if !p.states[state].stepped {
		var next [10]int
		for d := range next {
			var insts []uint32
			for _, pc := range p.states[state].insts {
				if inst := &p.prog.Inst[pc]; inst.MatchRune(rune('0' + d)) {
					insts = append(insts, inst.Out)
				}
			}
			next[d] = p.intern(insts)
		}
		p.states[state].next, p.states[state].stepped = next, true
	}
	return p.states[state].next[digit]
}

// A node says what the digits up to it are, and which node follows for each next
// digit. Node 0 is dead: not a number, and it leads only to itself.
type node struct {
	outcome int
	next    [10]int
}

// An automaton is acyclic and minimal: equal nodes are stored once, even for
// different countries. So "any seven more digits: mobile" is stored once for all
// countries.
type automaton struct {
	nodes []node // a node's successors are before it
	ids   map[node]int
}

func newAutomaton() *automaton {
	return &automaton{nodes: []node{{}}, ids: map[node]int{{}: 0}}
}

// add adds all strings of at most maxLen digits and returns the root. outcome
// returns what a string is, from its length and the states of the patterns after
// it; 0: not a number.
func (a *automaton) add(patterns []*pattern, maxLen int, outcome func(states []int, length int) int) (root int) {
	built := map[string]int{}
	var build func(states []int, length int) int
	build = func(states []int, length int) int {
		if !slices.ContainsFunc(states, func(s int) bool { return s != dead }) {
			return 0
		}
		key := fmt.Sprint(length, states)
		if id, ok := built[key]; ok {
			return id
		}
		n := node{outcome: outcome(states, length)}
		if length < maxLen {
			next := make([]int, len(states))
			for d := range n.next {
				for i, p := range patterns {
					next[i] = p.step(states[i], d)
				}
				n.next[d] = build(next, length+1)
			}
		}
		id, ok := a.ids[n]
		if !ok {
			id = len(a.nodes)
			a.nodes = append(a.nodes, n)
			a.ids[n] = id
		}
		built[key] = id
		return id
	}
	start := make([]int, len(patterns))
	for i, p := range patterns {
		start[i] = p.start()
	}
	return build(start, 0)
}

// encode writes the automaton in the form that package phone reads. Each node is a
// 16-bit header, then the 16-bit address of the next node for each run of digits
// that lead to the same node. Bit d-1 of the header says that a run begins at digit
// d (a run always begins at 0). The seven bits from bit 9 up are the outcome. Words
// are little-endian, and addresses count words. encode also returns the address of
// each node.
func (a *automaton) encode() (data []byte, addresses []int, err error) {
	const maxAddress, maxOutcome = 1<<16 - 1, 1<<7 - 1
	for _, n := range a.nodes {
		address := len(data) / 2
		if address > maxAddress || n.outcome > maxOutcome {
			return nil, nil, fmt.Errorf("the metadata is too large for the encoding: address %d, outcome %d", address, n.outcome)
		}
		addresses = append(addresses, address)
		header := uint16(n.outcome) << 9
		runs := []int{n.next[0]}
		for d := 1; d < len(n.next); d++ {
			if n.next[d] != n.next[d-1] {
				header |= 1 << (d - 1)
				runs = append(runs, n.next[d])
			}
		}
		data = binary.LittleEndian.AppendUint16(data, header)
		for _, id := range runs {
			data = binary.LittleEndian.AppendUint16(data, uint16(addresses[id]))
		}
	}
	return data, addresses, nil
}
