package azuretable

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
)

// edit replaces the entity of the row k by one with these properties, as a person with a
// tool does.
func (r *rig) edit(t *testing.T, properties map[string]any) {
	t.Helper()
	properties["PartitionKey"], properties["RowKey"] = "k", rowKey
	body, err := json.Marshal(properties)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.clean.client.writes.UpsertEntity(t.Context(), body, &aztables.UpsertEntityOptions{UpdateMode: aztables.UpdateModeReplace}); err != nil {
		t.Fatal(faultOf(err))
	}
}

// A row that somebody edited by hand is damaged: the service has it, so asking again does not
// help. It is no row and no missing row, and it can be replaced.
func TestDamagedRow(t *testing.T) {
	t.Parallel()
	whole := func() map[string]any {
		return map[string]any{
			"Data": []byte("old"), "Data@odata.type": "Edm.Binary", "Mark": "0123456789abcdef",
			"KeepUntil": "5", "KeepUntil@odata.type": "Edm.Int64",
		}
	}
	without := func(names ...string) map[string]any {
		m := whole()
		for _, name := range names {
			delete(m, name)
		}
		return m
	}
	with := func(name string, value any, edm string) map[string]any {
		m := without(name, name+"@odata.type")
		m[name] = value
		if edm != "" {
			m[name+"@odata.type"] = edm
		}
		return m
	}
	r := newRig(t, 0)
	r.edit(t, whole())
	r.wantData(t, "old")
	for name, properties := range map[string]map[string]any{
		"no property":           {},
		"no data":               without("Data", "Data@odata.type"),
		"empty data":            with("Data", "", "Edm.Binary"),
		"data that is text":     with("Data", "not base64!", ""),
		"data that is a number": with("Data", 5, "Edm.Int32"),
		"no mark":               without("Mark"),
		"an empty mark":         with("Mark", "", ""),
		"half a mark":           with("Mark", "01234567", ""),
		"a mark that is none":   with("Mark", `","Data":"eHh4`+`"`, ""),
		"a mark in capitals":    with("Mark", "0123456789ABCDEF", ""),
		"a mark in binary":      with("Mark", []byte("0123456789ab"), "Edm.Binary"),
		"a time of 32 bits":     with("KeepUntil", 5, "Edm.Int32"),
		"a time that is text":   with("KeepUntil", "tomorrow", ""),
		"a time that is a flag": with("KeepUntil", true, "Edm.Boolean"),
	} {
		t.Run(name, func(t *testing.T) {
			r.edit(t, properties)
			row, err := r.clean.Get(t.Context(), "k")
			if !errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) || row.Data != nil {
				t.Errorf("Get: %q, %v, want ErrDamaged", row.Data, err)
			}
			if err := r.clean.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
				if old == nil || len(old) != 0 {
					t.Errorf("fn got %q, want an empty slice that is not nil", old)
				}
				return storetest.Set("mended", fixture.Noon)(old)
			}); err != nil {
				t.Errorf("Update: %v", err)
			}
			r.wantData(t, "mended")
		})
	}
}

// The row is edited by hand after it was read. UpdateFrom then sees a damaged row, as Update
// does.
func TestDamagedRow_AfterItWasRead(t *testing.T) {
	r := newRig(t, 0)
	storetest.Put(t, r.clean, "k", "old", fixture.Noon)
	row, err := r.clean.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	r.edit(t, map[string]any{"Mark": "x"})
	var seen [][]byte
	err = r.clean.UpdateFrom(t.Context(), "k", row, func(old []byte) (store.Row, error) {
		seen = append(seen, old)
		return storetest.Append("mended")(old)
	})
	if err != nil || len(seen) != 2 || string(seen[0]) != "old" || seen[1] == nil || len(seen[1]) != 0 {
		t.Errorf("UpdateFrom: %v after fn saw %q, want the row that was read, and then empty data that is not nil", err, seen)
	}
	r.wantData(t, "mended")
}

// The answer to the write that replaces a damaged row is lost. The write is found by its mark.
func TestDamagedRow_LostAnswer(t *testing.T) {
	r := newRig(t, 0)
	for _, applied := range []bool{true, false} {
		r.edit(t, map[string]any{"Mark": "x"})
		lose := true
		r.onWrite(func(req *http.Request) (*http.Response, error) {
			if !lose {
				return r.next.RoundTrip(req)
			}
			lose = false
			if applied {
				r.deliver(t, copyOf(req))
			}
			return nil, errLost
		})
		if err := r.faulty.Update(t.Context(), "k", storetest.Set("mended", fixture.Noon)); err != nil {
			t.Errorf("applied %v: %v", applied, err)
		}
		r.wantData(t, "mended")
	}
}

// A row that is not ours, in our table, does not end a sweep.
func TestSomebodyElsesRow(t *testing.T) {
	r := newRig(t, 0)
	for _, key := range [][2]string{{"A'", "r"}, {"", "r"}, {"k", "other"}, {"k/1", ""}, {"schlüssel", "r"}} {
		body, _ := json.Marshal(map[string]any{"PartitionKey": key[0], "RowKey": key[1], "KeepUntil": "5", "KeepUntil@odata.type": "Edm.Int64"})
		if _, err := r.clean.client.writes.AddEntity(t.Context(), body, nil); err != nil && key[0] != "" {
			t.Logf("not stored: %q", key)
		}
	}
	var keys []store.Key
	for cursor := ""; ; {
		page, err := r.clean.Expired(t.Context(), fixture.Noon, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range page.Rows {
			keys = append(keys, ref.Key)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(keys) != 1 || keys[0] != "bystander" {
		t.Errorf("listed %q, want the one row of ours", keys)
	}
}
