package azuretable

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"twofa/internal/store"
	"twofa/internal/testing/azurite"
)

// benchRow has the size of a recipient's row.
var benchRow = store.Row{Data: make([]byte, 400), KeepUntil: time.Unix(2e9, 0)}

func setBenchRow([]byte) (store.Row, error) { return benchRow, nil }

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(Options{ConnectionString: azurite.Shared(b), TablePrefix: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if err := s.Update(b.Context(), "k", setBenchRow); err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkGet(b *testing.B) {
	s := benchStore(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), "k"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	s := benchStore(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Update(b.Context(), "k", setBenchRow); err != nil {
			b.Fatal(err)
		}
	}
}

// bareClient is aztables without this package: no marks, limits and checks. Its two
// benchmarks show how much this package adds.
func bareClient(b *testing.B) *aztables.Client {
	b.Helper()
	benchStore(b) // makes the table and the row
	s, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	return s.NewClient("benchrecipients")
}

func bareGet(b *testing.B, c *aztables.Client) (entity, azcore.ETag) {
	b.Helper()
	resp, err := c.GetEntity(b.Context(), "k", rowKey, nil)
	if err != nil {
		b.Fatal(err)
	}
	var e entity
	if err := json.Unmarshal(resp.Value, &e); err != nil {
		b.Fatal(err)
	}
	return e, resp.ETag
}

func BenchmarkBareGet(b *testing.B) {
	c := bareClient(b)
	b.ReportAllocs()
	for b.Loop() {
		bareGet(b, c)
	}
}

func BenchmarkBareUpdate(b *testing.B) {
	c := bareClient(b)
	b.ReportAllocs()
	for b.Loop() {
		e, etag := bareGet(b, c)
		body, err := json.Marshal(map[string]any{
			"PartitionKey": "k", "RowKey": rowKey,
			"Data": benchRow.Data, "Data@odata.type": "Edm.Binary",
			"Mark":      e.Mark,
			"KeepUntil": "2000000000", "KeepUntil@odata.type": "Edm.Int64",
		})
		if err != nil {
			b.Fatal(err)
		}
		_, err = c.UpdateEntity(b.Context(), body, &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace})
		if err != nil {
			b.Fatal(err)
		}
	}
}
