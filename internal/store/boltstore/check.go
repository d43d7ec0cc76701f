package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"

	"twofa/internal/store"
)

// This file checks a file before bbolt opens it. bbolt trusts its pages: it maps the
// file into memory, and a wrong page number ends the process, or gives a tree in
// which rows are not found. A row that is not found is a lost count of failures. The
// check reads the file in the ordinary way and trusts no number in it.
//
// The layout is that of bbolt's file format, version 2, in the byte order of the
// machine.

// maxChecked is how many bytes of pages the check reads, so that a large file does
// not delay the start: 64 MiB, about 100,000 rows, takes 0.1 seconds from the cache.
// Of a larger file, the rest is not checked; bbolt's own checks then find a damaged
// page when it is used.
const maxChecked = 64 << 20

const (
	pageHeader    = 16
	elementHeader = 16
	branchPage    = 0x01
	leafPage      = 0x02
	freelistPage  = 0x10
	bucketFlag    = 0x01
	noFreelist    = ^uint64(0)
	metaMagic     = 0xED0CDAED
	metaVersion   = 2
)

var native = binary.NativeEndian

// meta is one of the two pages that say where everything is. Each write transaction
// replaces the older one.
type meta struct {
	pageSize                     int64
	root, freelist, end, version uint64
}

// readMeta reads a meta page at an offset. It returns false if the page is not whole.
func readMeta(f io.ReaderAt, offset int64, number uint64) (meta, bool) {
	var b [pageHeader + 64]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		return meta{}, false
	}
	body := b[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(body[:56])
	m := meta{
		pageSize: int64(native.Uint32(body[8:])), root: native.Uint64(body[16:]),
		freelist: native.Uint64(body[32:]), end: native.Uint64(body[40:]), version: native.Uint64(body[48:]),
	}
	ok := native.Uint32(body) == metaMagic && native.Uint32(body[4:]) == metaVersion && native.Uint64(body[56:]) == sum.Sum64() &&
		native.Uint64(b[:]) == number && m.version%2 == number && m.pageSize >= 1024 && bits.OnesCount64(uint64(m.pageSize)) == 1
	return m, ok
}

// checker checks one file.
type checker struct {
	file io.ReaderAt
	meta
	used     []uint64 // one bit for each page that was seen
	budget   int64    // bytes that may still be read
	complete bool     // the budget was enough so far
}

// check returns what is damaged in a file of the given size, nil if nothing was found.
// It reads at most budget bytes of the rows.
func check(f io.ReaderAt, size, budget int64) error {
	first, ok := readMeta(f, 0, 0)
	if !ok {
		return fmt.Errorf("its first page is not that of a store")
	}
	second, ok := readMeta(f, first.pageSize, 1)
	if !ok || second.pageSize != first.pageSize {
		return fmt.Errorf("its second page is not that of a store")
	}
	newest := first
	if second.version > first.version {
		newest = second
	}
	// Each write replaces the older page, so they are neighbors. Otherwise the last
	// writes are gone.
	if first.version+1 != second.version && second.version+1 != first.version {
		return fmt.Errorf("its first two pages do not fit together")
	}
	if newest.end < 4 || newest.end > uint64(size/newest.pageSize) {
		return fmt.Errorf("it has %d bytes and should have %d pages of %d: its end is missing", size, newest.end, newest.pageSize)
	}
	c := &checker{file: f, meta: newest, used: make([]uint64, newest.end/64+1), budget: budget, complete: true}
	if err := c.buckets(); err != nil {
		return err
	}
	return c.freePages()
}

// page reads a page with its overflow pages, and notes that they are in use.
func (c *checker) page(id uint64) ([]byte, error) {
	if id < 2 || id >= c.end {
		return nil, fmt.Errorf("there is no page %d", id)
	}
	var header [pageHeader]byte
	if _, err := c.file.ReadAt(header[:], int64(id)*c.pageSize); err != nil {
		return nil, fmt.Errorf("page %d cannot be read", id)
	}
	last := id + uint64(native.Uint32(header[12:]))
	if native.Uint64(header[:]) != id || last >= c.end {
		return nil, fmt.Errorf("page %d holds something else", id)
	}
	for n := id; n <= last; n++ {
		if c.isUsed(n) {
			return nil, fmt.Errorf("page %d is used twice", n)
		}
		c.used[n/64] |= 1 << (n % 64)
	}
	page := make([]byte, int64(last-id+1)*c.pageSize) // at most the file's size
	c.budget -= int64(len(page))
	if _, err := c.file.ReadAt(page, int64(id)*c.pageSize); err != nil {
		return nil, fmt.Errorf("page %d cannot be read", id)
	}
	return page, nil
}

func (c *checker) isUsed(id uint64) bool { return c.used[id/64]&(1<<(id%64)) != 0 }

// element is an entry of a page: a key, with the child of a branch, or with the
// value of a leaf.
type element struct {
	key, value []byte
	child      uint64
	flags      uint32
}

// elements returns the entries of a page, whose keys have to ascend.
func elements(page []byte) (list []element, leaf bool, ok bool) {
	if len(page) < pageHeader {
		return nil, false, false
	}
	kind, count := native.Uint16(page[8:]), int(native.Uint16(page[10:]))
	if kind != branchPage && kind != leafPage || pageHeader+count*elementHeader > len(page) || kind == branchPage && count == 0 {
		return nil, false, false
	}
	list = make([]element, count)
	for i := range list {
		at := pageHeader + i*elementHeader
		head := page[at:]
		var e element
		var start, keySize, valueSize uint64
		if kind == leafPage {
			e.flags = native.Uint32(head)
			start, keySize, valueSize = uint64(native.Uint32(head[4:])), uint64(native.Uint32(head[8:])), uint64(native.Uint32(head[12:]))
		} else {
			start, keySize, e.child = uint64(native.Uint32(head)), uint64(native.Uint32(head[4:])), native.Uint64(head[8:])
		}
		start += uint64(at)
		if start < uint64(pageHeader+count*elementHeader) || start+keySize+valueSize > uint64(len(page)) {
			return nil, false, false
		}
		e.key = page[start : start+keySize]
		e.value = page[start+keySize : start+keySize+valueSize]
		if i > 0 && bytes.Compare(list[i-1].key, e.key) >= 0 {
			return nil, false, false
		}
		list[i] = e
	}
	return list, kind == leafPage, true
}

// branch is a page that is still to be read. All of its keys are from low, and below
// high unless that is nil.
type branch struct {
	id        uint64
	low, high []byte
}

// tree visits the entries of all leaves of a tree, until the budget is used up.
func (c *checker) tree(root uint64, visit func(element) bool) error {
	for queue := []branch{{id: root}}; len(queue) > 0; queue = queue[1:] {
		if c.budget <= 0 {
			c.complete = false
			return nil
		}
		next := queue[0]
		page, err := c.page(next.id)
		if err != nil {
			return err
		}
		list, leaf, ok := elements(page)
		if n := len(list); ok && n > 0 {
			ok = bytes.Compare(list[0].key, next.low) >= 0 && (next.high == nil || bytes.Compare(list[n-1].key, next.high) < 0)
		}
		if !ok {
			return fmt.Errorf("page %d is no page of rows", next.id)
		}
		for i, e := range list {
			if leaf {
				if !visit(e) {
					return fmt.Errorf("page %d holds a malformed row", next.id)
				}
				continue
			}
			child := branch{id: e.child, low: bytes.Clone(e.key), high: next.high}
			if i+1 < len(list) {
				child.high = bytes.Clone(list[i+1].key)
			}
			queue = append(queue, child)
		}
	}
	return nil
}

// bucket visits the entries of a bucket, whose value in the root is given: the number
// of its first page and its sequence, or 0 and the page itself.
func (c *checker) bucket(value []byte, visit func(element) bool) (sequence uint64, err error) {
	if len(value) < 16 {
		return 0, fmt.Errorf("the list of its tables is malformed")
	}
	sequence = native.Uint64(value[8:])
	if root := native.Uint64(value); root != 0 {
		return sequence, c.tree(root, visit)
	}
	list, leaf, ok := elements(value[16:])
	for _, e := range list {
		ok = ok && visit(e)
	}
	if !ok || !leaf {
		return 0, fmt.Errorf("the list of its tables holds a malformed row")
	}
	return sequence, nil
}

// buckets checks the rows, the index, and that they agree. A file without both is one
// whose making was interrupted.
func (c *checker) buckets() error {
	values := make(map[string][]byte)
	if err := c.tree(c.root, func(e element) bool {
		values[string(e.key)] = bytes.Clone(e.value)
		return e.flags == bucketFlag
	}); err != nil {
		return err
	}
	rows, expiry := values[string(rowsBucket)], values[string(expiryBucket)]
	if rows == nil && expiry == nil && len(values) == 0 {
		return nil
	}
	if rows == nil || expiry == nil {
		return fmt.Errorf("a table is missing")
	}
	var ofRows, ofIndex total
	var newest uint64
	sequence, err := c.bucket(rows, func(e element) bool {
		r, err := parseRecord(e.value)
		if err != nil || e.flags != 0 || !store.Key(e.key).Valid() {
			return false
		}
		newest = max(newest, r.version)
		ofRows.add(expiryKey(r.keepUntil, store.Key(e.key)), binary.BigEndian.AppendUint64(nil, r.version))
		return true
	})
	if err != nil {
		return err
	}
	if _, err := c.bucket(expiry, func(e element) bool {
		ofIndex.add(e.key, e.value)
		return e.flags == 0 && len(e.key) > 8 && len(e.value) == 8
	}); err != nil {
		return err
	}
	if c.complete && (ofRows != ofIndex || newest > sequence) {
		return fmt.Errorf("its rows and their index differ")
	}
	return nil
}

// total is a sum over entries, which does not depend on their order.
type total struct{ count, sum uint64 }

func (t *total) add(key, value []byte) {
	h := fnv.New64a()
	_, _ = h.Write(key)
	_, _ = h.Write(value)
	t.count++
	t.sum += h.Sum64()
}

// freePages checks the list of free pages: the next write uses them.
func (c *checker) freePages() error {
	if c.freelist == noFreelist {
		return nil
	}
	page, err := c.page(c.freelist)
	if err != nil {
		return err
	}
	ids, count := page[pageHeader:], uint64(native.Uint16(page[10:]))
	if count == 0xFFFF { // the number does not fit: it comes first
		count, ids = native.Uint64(ids), ids[8:]
	}
	if native.Uint16(page[8:]) != freelistPage || count > uint64(len(ids)/8) {
		return fmt.Errorf("page %d is not the list of free pages", c.freelist)
	}
	last := uint64(1)
	for i := range count {
		id := native.Uint64(ids[i*8:])
		if id <= last || id >= c.end || c.isUsed(id) {
			return fmt.Errorf("the list of free pages is wrong")
		}
		last = id
	}
	return nil
}
