package guard

import "twofa/internal/store"

const (
	MaxUnwritten = maxUnwritten
	MaxOwed      = maxOwed
	Shards       = shards
)

// RowKeys are the keys of all rows that concern a send, each once.
func (g *Guard) RowKeys(s Send) (keys []store.Key) {
	seen := make(map[store.Key]bool)
	for _, r := range g.rules(s) {
		for _, key := range r.rows {
			if !seen[key] {
				keys = append(keys, key)
			}
			seen[key] = true
		}
	}
	return keys
}

// Shard sets the row of sharded counters that the process writes.
func (g *Guard) Shard(i int) {
	g.once.Do(g.setUp)
	g.shard = i
}

// Remembered is how many counters are in memory, and how many of these are owed.
func (g *Guard) Remembered() (all, owed int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.counters), g.owed.Len()
}
