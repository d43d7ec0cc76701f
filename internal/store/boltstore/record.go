package boltstore

import (
	"encoding/binary"
	"strconv"

	"twofa/internal/store"
)

// record is the stored form of a row: version, KeepUntil, data.
type record struct {
	version   uint64
	keepUntil int64 // Unix seconds
	data      []byte
}

func (r record) bytes() []byte {
	b := make([]byte, 0, 16+len(r.data))
	b = binary.BigEndian.AppendUint64(b, r.version)
	b = binary.BigEndian.AppendUint64(b, uint64(r.keepUntil))
	return append(b, r.data...)
}

// versionText is the version as callers get it.
func (r record) versionText() string { return strconv.FormatUint(r.version, 10) }

// parseRecord returns a record whose data is part of raw.
func parseRecord(raw []byte) (record, error) {
	if len(raw) <= 16 {
		return record{}, store.ErrDamaged
	}
	return record{
		version:   binary.BigEndian.Uint64(raw),
		keepUntil: int64(binary.BigEndian.Uint64(raw[8:])),
		data:      raw[16:],
	}, nil
}

// expiryKey is the index key of a row. The keys sort by time, then by row. The sign
// bit is inverted, because bbolt compares bytes as unsigned.
func expiryKey(keepUntil int64, key store.Key) []byte {
	b := make([]byte, 0, 8+len(key))
	b = binary.BigEndian.AppendUint64(b, uint64(keepUntil)^1<<63)
	return append(b, key...)
}
