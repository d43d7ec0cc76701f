package azuretable

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"twofa/internal/store"
)

func TestMarks(t *testing.T) {
	seen := map[string]bool{}
	marks := ""
	var made []string
	for i := range 10 {
		m := newMark()
		if len(m) != markLen || seen[m] {
			t.Fatalf("mark %q: want %d characters, and never the same twice", m, markLen)
		}
		seen[m] = true
		made = append(made, m)
		marks = pushMark(marks, m)
		if newestMark(marks) != m || len(marks) != markLen*min(i+1, maxMarks) {
			t.Fatalf("after %d writes the marks are %q", i+1, marks)
		}
		for age := range made {
			want := age
			if age >= maxMarks {
				want = -1
			}
			if got := findMark(marks, made[i-age]); got != want {
				t.Errorf("findMark of the write %d before = %d, want %d", age, got, want)
			}
		}
	}
	// Only whole marks count.
	if findMark("0123456789abcdef"+"fedcba9876543210", "89abcdeffedcba98") != -1 {
		t.Error("found a mark across two others")
	}
}

func TestFate(t *testing.T) {
	const a, b, c, d, e = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc", "dddddddddddddddd", "eeeeeeeeeeeeeeee"
	row := func(etag, marks string) entity { return entity{etag: etag, Mark: marks} }
	insert, replace := pending{}, pending{etag: "1", newest: a}
	for name, x := range map[string]struct {
		p    pending
		now  entity
		want fate
	}{
		"insert, still no row":             {insert, row("", ""), open},
		"insert, made by another":          {insert, row("2", b), lost},
		"insert, 3 others":                 {insert, row("2", d+c+b), lost},
		"insert, 4 others or more":         {insert, row("2", e+d+c+b), unknown},
		"replace, unchanged":               {replace, row("1", a), open},
		"replace, unchanged, long history": {replace, row("1", a+b+c+d), open},
		"replace, another":                 {replace, row("2", b+a), lost},
		"replace, 3 others":                {replace, row("2", d+c+b+a), lost},
		"replace, 4 others":                {replace, row("2", e+d+c+b), unknown},
		"replace, gone":                    {replace, row("", ""), unknown},
		"replace, made anew":               {replace, row("2", b), unknown},
	} {
		if got := x.p.fate(x.now); got != x.want {
			t.Errorf("%s: %d, want %d", name, got, x.want)
		}
	}
}

func TestEntity(t *testing.T) {
	for _, seconds := range []int64{0, 5, -7, math.MaxInt32 + 1, math.MinInt64 / 2} {
		row := store.Row{Data: []byte{0, 1, 2, '"', '\\', 0xff, '<'}, KeepUntil: time.Unix(seconds, 0)}
		body := appendEntity("abc9", row, "0123456789abcdef")
		var fields map[string]string // every value is a string
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if fields["PartitionKey"] != "abc9" || fields["RowKey"] != "r" || fields["Data@odata.type"] != "Edm.Binary" ||
			fields["KeepUntil@odata.type"] != "Edm.Int64" || len(fields) != 7 {
			t.Errorf("%s", body)
		}
		e, ok := parseEntity(body, `W/"x"`, "abc9")
		if !ok || e.damaged || string(e.Data) != string(row.Data) || e.KeepUntil != seconds || e.Mark != "0123456789abcdef" || e.etag != `W/"x"` {
			t.Errorf("%s: read back as %+v, %v", body, e, ok)
		}
	}
	// The buffer is allocated once, large enough for the largest row.
	row := store.Row{Data: make([]byte, store.MaxData), KeepUntil: time.Unix(math.MinInt64, 0)}
	key := store.Key(strings.Repeat("a", 64))
	if n := testing.AllocsPerRun(10, func() { appendEntity(key, row, "0123456789abcdef") }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

func TestETags(t *testing.T) {
	for s, ok := range map[string]bool{
		`W/"datetime'2026-11-21T01%3A58%3A50.4836065Z'"`: true, `W/""`: true,
		"": false, "*": false, `"x"`: false, `W/"`: false, `W/"x`: false, "W/\"x\r\nX: y\"": false, `W/"é"`: false,
		`W/"` + strings.Repeat("x", 300) + `"`: false,
	} {
		if validETag(s) != ok {
			t.Errorf("validETag(%q) = %v", s, !ok)
		}
	}
}

// The version of a row leads back to the marks and the ETag. Nothing else gets into a
// request: without a valid version the row is read.
func TestKnownEntity(t *testing.T) {
	const etag = `W/"datetime'2026-11-21T01%3A58%3A50.4836065Z'"`
	e := entity{Data: []byte("x"), Mark: newMark() + newMark(), KeepUntil: 5, etag: etag}
	if got := knownEntity(e.row()); got == nil || string(got.Data) != "x" || got.Mark != e.Mark || got.etag != etag {
		t.Errorf("%+v became %+v", e, got)
	}
	if got := knownEntity(store.Row{}); got == nil || got.Data != nil || got.Mark != "" || got.etag != "" {
		t.Errorf("no row became %+v", got)
	}
	data := []byte("x")
	for name, row := range map[string]store.Row{
		"no version":        {Data: data},
		"no data":           {Version: e.row().Version},
		"empty data":        {Data: []byte{}, Version: e.row().Version},
		"no marks":          {Data: data, Version: etag},
		"half a mark":       {Data: data, Version: "01234567" + etag},
		"marks of no digit": {Data: data, Version: `","Data":"eHh4"` + etag},
		"no ETag":           {Data: data, Version: newMark()},
		"any ETag":          {Data: data, Version: newMark() + "*"},
		"of another store":  {Data: data, Version: "17"},
		"a second header":   {Data: data, Version: newMark() + "W/\"x\r\nX: y\""},
	} {
		if got := knownEntity(row); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("MSExNiFhYmM.MSE0IWNnLS0")
	f.Add(".")
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := decodeCursor(s)
		if !ok {
			return
		}
		if (c == cursor{}) != (s == "") {
			t.Errorf("%q means the beginning", s)
		}
		if back, ok := decodeCursor(c.encode()); !ok || back != c {
			t.Errorf("%q is read as %+v, which is written as %q", s, c, c.encode())
		}
	})
}

func FuzzParseEntity(f *testing.F) {
	f.Add([]byte(`{"PartitionKey":"k","RowKey":"r","Data":"b2xk","Mark":"0123456789abcdef","KeepUntil":"5"}`))
	f.Add([]byte(`{"PartitionKey":"k","RowKey":"r","Data":5,"Mark":"\",\"","KeepUntil":"5"}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, ok := parseEntity(body, `W/"x"`, "k")
		if ok && !e.damaged && (len(e.Data) == 0 || len(e.Mark) == 0 || e.etag == "") {
			t.Errorf("%q counts as a row: %+v", body, e)
		}
		if e.damaged && (e.Data == nil || len(e.Data) != 0 || e.Mark != "" || e.etag == "") {
			t.Errorf("%q is a damaged row, but gives %+v", body, e)
		}
		if strings.Trim(e.Mark, "0123456789abcdef") != "" {
			t.Errorf("the marks %q would get into the next write", e.Mark)
		}
		if !ok && (e.Data != nil || e.etag != "") {
			t.Errorf("%q is not a row, but gives %+v", body, e)
		}
		// The marks of the next write are not too long, whatever the marks of the row are.
		if got := pushMark(e.Mark, "0123456789abcdef"); len(got) > maxMarks*markLen {
			t.Errorf("marks grow to %d bytes", len(got))
		}
	})
}
