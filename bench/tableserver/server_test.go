package tableserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"twofa/bench/tableserver"
	"twofa/internal/store"
	"twofa/internal/store/azuretable"
	"twofa/internal/testing/storetest"
)

// start serves an account and returns its connection string.
func start(t *testing.T, s *tableserver.Server) string {
	t.Helper()
	ts := httptest.NewUnstartedServer(s)
	ts.Config.ConnState = s.ConnState
	ts.Start()
	t.Cleanup(ts.Close)
	return "DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=a2V5;TableEndpoint=" + ts.URL + "/acct;"
}

// The conformance suite of the store, with the real store as the client.
func TestConformance(t *testing.T) {
	connection := start(t, &tableserver.Server{PageSize: 7})
	tables := 0
	prefixes := map[store.Table]string{}
	open := func(t *testing.T, prefix string) store.Table {
		s, err := azuretable.Open(azuretable.Options{ConnectionString: connection, TablePrefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		prefixes[s] = prefix
		return s
	}
	storetest.Run(t,
		func(t *testing.T) store.Table {
			tables++
			return open(t, fmt.Sprintf("t%d", tables))
		},
		storetest.Reopen(func(t *testing.T, first store.Table) store.Table {
			return open(t, prefixes[first])
		}))
}

func client(t *testing.T, s *tableserver.Server, table string) *aztables.Client {
	t.Helper()
	service, err := aztables.NewServiceClientFromConnectionString(start(t, s), nil)
	if err != nil {
		t.Fatal(err)
	}
	return service.NewClient(table)
}

func entity(key, data string) []byte {
	return fmt.Appendf(nil, `{"PartitionKey":%q,"RowKey":"r","Data":%q,"N":"7","N@odata.type":"Edm.Int64"}`, key, data)
}

// The status and code of each error, which clients need for their decisions.
func TestErrors(t *testing.T) {
	ctx := t.Context()
	c := client(t, new(tableserver.Server), "rows")
	stale := azcore.ETag(`W/"datetime'2020-01-01T00%3A00%3A00.0000000Z'"`)
	update := func(key string, match azcore.ETag) error {
		_, err := c.UpdateEntity(ctx, entity(key, "y"), &aztables.UpdateEntityOptions{IfMatch: &match, UpdateMode: aztables.UpdateModeReplace})
		return err
	}
	check := func(what string, err error, status int, code string) {
		t.Helper()
		var re *azcore.ResponseError
		if !errors.As(err, &re) || re.StatusCode != status || re.ErrorCode != code {
			t.Errorf("%s: %v, want %d %s", what, err, status, code)
		}
	}
	get := func(key string) error {
		_, err := c.GetEntity(ctx, key, "r", nil)
		return err
	}
	add := func(key string) error {
		_, err := c.AddEntity(ctx, entity(key, "x"), nil)
		return err
	}
	remove := func(key string, match azcore.ETag) error {
		_, err := c.DeleteEntity(ctx, key, "r", &aztables.DeleteEntityOptions{IfMatch: &match})
		return err
	}

	check("get without a table", get("k"), 404, "TableNotFound")
	check("add without a table", add("k"), 404, "TableNotFound")
	if _, err := c.CreateTable(ctx, nil); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateTable(ctx, nil)
	check("create again", err, 409, "TableAlreadyExists")
	check("get of no row", get("k"), 404, "ResourceNotFound")
	check("update of no row", update("k", stale), 404, "ResourceNotFound")
	check("delete of no row", remove("k", stale), 404, "ResourceNotFound")
	if err := add("k"); err != nil {
		t.Fatal(err)
	}
	check("add again", add("k"), 409, "EntityAlreadyExists")
	check("update of an older version", update("k", stale), 412, "UpdateConditionNotSatisfied")
	check("delete of an older version", remove("k", stale), 412, "UpdateConditionNotSatisfied")
	_, err = c.AddEntity(ctx, []byte(`{"PartitionKey":"k","RowKey":"r","Data":{}}`), nil)
	check("a nested value", err, 400, "InvalidInput")
	if err := remove("k", azcore.ETagAny); err != nil {
		t.Error(err)
	}
	check("get of a deleted row", get("k"), 404, "ResourceNotFound")
}

// Every write makes a new ETag, and only the newest ETag is accepted by the next write.
func TestETagsChange(t *testing.T) {
	ctx := t.Context()
	c := client(t, new(tableserver.Server), "rows")
	if _, err := c.CreateTable(ctx, nil); err != nil {
		t.Fatal(err)
	}
	added, err := c.AddEntity(ctx, entity("k'1", "x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[azcore.ETag]bool{added.ETag: true}
	last := added.ETag
	for range 100 {
		match := last
		u, err := c.UpdateEntity(ctx, entity("k'1", "x"), &aztables.UpdateEntityOptions{IfMatch: &match, UpdateMode: aztables.UpdateModeReplace})
		if err != nil {
			t.Fatal(err)
		}
		if seen[u.ETag] {
			t.Fatalf("ETag %s came back", u.ETag)
		}
		seen[u.ETag], last = true, u.ETag
	}
	got, err := c.GetEntity(ctx, "k'1", "r", nil)
	if err != nil || got.ETag != last {
		t.Errorf("GetEntity: ETag %s, %v; want %s", got.ETag, err, last)
	}
	var e map[string]any
	if err := json.Unmarshal(got.Value, &e); err != nil || e["Data"] != "x" || e["N"] != "7" || e["N@odata.type"] != "Edm.Int64" || e["Timestamp"] == nil {
		t.Errorf("entity %s", got.Value)
	}
}

func TestFillAndLatencyAndStats(t *testing.T) {
	ctx := context.Background()
	s := new(tableserver.Server)
	control := httptest.NewServer(s.Control())
	defer control.Close()
	post := func(path string) {
		t.Helper()
		resp, err := control.Client().Post(control.URL+path, "", nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
	}
	post("/fill?table=rows&rows=1500&data=300")
	post("/latency?d=20ms")
	c := client(t, s, "rows")
	began := time.Now()
	n := 0
	filter := "KeepUntil gt 5L"
	for pager := c.NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: &filter}); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Entities)
		if e := string(page.Entities[0]); !strings.Contains(e, "Edm.Int64") || len(e) < 500 {
			t.Fatalf("a row is %s", e)
		}
	}
	if n != 1500 {
		t.Errorf("listed %d rows, want 1500", n)
	}
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("two pages took %v, want 40ms or more", took)
	}
	if st := s.Stats(); st.Query != 2 || st.Connections != 1 || st.Peak != 1 || st.Failed != 0 {
		t.Errorf("stats %+v", st)
	}
	post("/reset")
	if st := s.Stats(); st.Query != 0 || st.Connections != 0 || st.Peak != 1 {
		t.Errorf("stats after the reset %+v", st)
	}
}
