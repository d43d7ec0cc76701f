package azuretable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"twofa/internal/store"
	"twofa/internal/store/storetest"
)

// The tests in this file disturb the connection to a real Azurite and look at
// what is stored afterwards, through a connection that is not disturbed.

var epoch = time.Date(2031, time.March, 4, 5, 6, 7, 0, time.UTC)

var errLost = errors.New("connection reset by a test")

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func isWrite(req *http.Request) bool {
	return req.Method == http.MethodPut || req.Method == http.MethodPost && !strings.HasSuffix(req.URL.Path, "/Tables")
}

func isRead(req *http.Request) bool { return req.Method == http.MethodGet }

// answer makes a response that the service didn't send.
func answer(req *http.Request, status int, body string, header ...string) *http.Response {
	resp := &http.Response{
		StatusCode: status, Status: http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

// copyOf returns a request that can be sent later and in another context.
func copyOf(req *http.Request) *http.Request {
	c := req.Clone(context.WithoutCancel(req.Context()))
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			panic(err)
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		c.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c
}

// deliver sends a request and says with what status it was answered.
func deliver(t *testing.T, next http.RoundTripper, req *http.Request) int {
	t.Helper()
	resp, err := next.RoundTrip(req)
	if err != nil {
		t.Errorf("test: can't reach Azurite: %v", err)
		return 0
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// rig is a table, a store without faults on it, and one with faults.
type rig struct {
	options Options
	next    http.RoundTripper // to Azurite
	clean   *Store
	faulty  *Store
	// disturb stands between the faulty store and Azurite.
	disturb roundTripper
}

func newRig(t *testing.T, timeout time.Duration) *rig {
	t.Helper()
	o := options(t)
	o.Timeout = timeout
	next := newTransport("http://")
	t.Cleanup(next.CloseIdleConnections)
	r := &rig{options: o, next: next, disturb: next.RoundTrip}
	r.clean = openStore(t, o)
	o.Transport = roundTripper(func(req *http.Request) (*http.Response, error) { return r.disturb(req) })
	r.faulty = openStore(t, o)
	r.append(t, "bystander", "x") // makes the table
	return r
}

// append adds to a row behind the faulty store's back.
func (r *rig) append(t *testing.T, key store.Key, s string) {
	t.Helper()
	if err := r.clean.Update(t.Context(), key, appending(s)); err != nil {
		t.Errorf("Update: %v", err)
	}
}

func appending(s string) func([]byte) (store.Row, error) {
	return func(old []byte) (store.Row, error) {
		return store.Row{Data: append(bytes.Clone(old), s...), KeepUntil: epoch}, nil
	}
}

// data returns what is stored, "" for no row.
func (r *rig) data(t *testing.T, key store.Key) string {
	t.Helper()
	row, err := r.clean.Get(t.Context(), key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	return string(row.Data)
}

// numbered appends the number of its call, so that the stored row tells which
// call's result was written.
type numbered struct{ calls int }

func (n *numbered) fn(old []byte) (store.Row, error) {
	n.calls++
	return store.Row{Data: fmt.Appendf(bytes.Clone(old), "(%d)", n.calls), KeepUntil: epoch}, nil
}

// bothWays runs the test on a row that is not there and on one that is, which
// are written by different requests.
func bothWays(t *testing.T, test func(t *testing.T, r *rig, before string)) {
	for name, before := range map[string]string{"insert": "", "replace": "old"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 0)
			if before != "" {
				r.append(t, "k", before)
			}
			test(t, r, before)
		})
	}
}

// The write is applied and its answer doesn't arrive, or is no answer.
func TestLostAnswer(t *testing.T) {
	for name, lose := range map[string]func(*http.Request) (*http.Response, error){
		"reset": func(*http.Request) (*http.Response, error) { return nil, errLost },
		"500": func(req *http.Request) (*http.Response, error) {
			return answer(req, 500, `{"odata.error":{"code":"OperationTimedOut"}}`), nil
		},
		"503": func(req *http.Request) (*http.Response, error) {
			return answer(req, 503, "", "Retry-After", "1"), nil
		},
		"garbage": func(req *http.Request) (*http.Response, error) {
			return answer(req, 201, "<html>"), nil
		},
		"wrong status": func(req *http.Request) (*http.Response, error) {
			return answer(req, 202, ""), nil
		},
		"hang": func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(t *testing.T, r *rig, before string) {
				writes := 0
				r.disturb = func(req *http.Request) (*http.Response, error) {
					if !isWrite(req) {
						return r.next.RoundTrip(req)
					}
					writes++
					if s := deliver(t, r.next, copyOf(req)); s != http.StatusNoContent {
						t.Errorf("write %d: status %d", writes, s)
					}
					return lose(req)
				}
				ctx, trips := store.WithTrips(t.Context())
				var n numbered
				if err := r.faulty.Update(ctx, "k", n.fn); err != nil {
					t.Fatalf("Update: %v, want success as the write was applied", err)
				}
				if got := r.data(t, "k"); got != before+"(1)" || n.calls != 1 || writes != 1 {
					t.Errorf("stored %q after %d calls of fn and %d writes, want one of each", got, n.calls, writes)
				}
				if trips.Load() != 3 {
					t.Errorf("%d round trips, want 3: read, write, look", trips.Load())
				}
			})
		})
	}
}

// Something below Update repeats the write, as the SDK does by default, and
// reports that the repetition failed.
func TestLostAnswerRepeatedBelow(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, before string) {
		a, err := parseAddress(r.options)
		if err != nil {
			t.Fatal(err)
		}
		connect, err := connector(a, "")
		if err != nil {
			t.Fatal(err)
		}
		r.faulty.client.writes, err = newTableClient(connect, r.options.TablePrefix+"recipients", r.faulty.client.transport,
			policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond, TryTimeout: tryTimeout})
		if err != nil {
			t.Fatal(err)
		}
		var statuses []int
		r.disturb = func(req *http.Request) (*http.Response, error) {
			if !isWrite(req) {
				return r.next.RoundTrip(req)
			}
			if statuses == nil {
				statuses = append(statuses, deliver(t, r.next, copyOf(req)))
				return nil, errLost
			}
			resp, err := r.next.RoundTrip(req)
			if err == nil {
				statuses = append(statuses, resp.StatusCode)
			}
			return resp, err
		}
		var n numbered
		if err := r.faulty.Update(t.Context(), "k", n.fn); err != nil {
			t.Fatalf("Update: %v", err)
		}
		conflict := map[string]int{"": 409, "old": 412}[before]
		if fmt.Sprint(statuses) != fmt.Sprint([]int{204, conflict}) {
			t.Errorf("the service answered %v: the test doesn't test what it is about", statuses)
		}
		if got := r.data(t, "k"); got != before+"(1)" || n.calls != 1 {
			t.Errorf("stored %q after %d calls of fn", got, n.calls)
		}
	})
}

// The write doesn't arrive. It is sent again as it was, for it might arrive yet.
func TestLostRequest(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, before string) {
		writes := 0
		r.disturb = func(req *http.Request) (*http.Response, error) {
			if isWrite(req) {
				if writes++; writes <= 2 {
					return nil, errLost
				}
			}
			return r.next.RoundTrip(req)
		}
		var n numbered
		if err := r.faulty.Update(t.Context(), "k", n.fn); err != nil {
			t.Fatalf("Update: %v", err)
		}
		if got := r.data(t, "k"); got != before+"(1)" || n.calls != 1 {
			t.Errorf("stored %q after %d calls of fn, want the result of one call", got, n.calls)
		}
	})
}

// The write is given up, and arrives when it has been sent again: before the
// second copy, or after it.
func TestLateRequest(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("before the copy %v", first), func(t *testing.T) {
			bothWays(t, func(t *testing.T, r *rig, before string) {
				var late *http.Request
				var statuses []int
				r.disturb = func(req *http.Request) (*http.Response, error) {
					if !isWrite(req) {
						return r.next.RoundTrip(req)
					}
					if late == nil {
						late = copyOf(req)
						return nil, errLost
					}
					if len(statuses) > 0 {
						t.Error("written a third time")
					}
					if first {
						statuses = append(statuses, deliver(t, r.next, late))
						return r.next.RoundTrip(req)
					}
					resp, err := r.next.RoundTrip(req)
					statuses = append(statuses, deliver(t, r.next, late))
					return resp, err
				}
				var n numbered
				if err := r.faulty.Update(t.Context(), "k", n.fn); err != nil {
					t.Fatalf("Update: %v", err)
				}
				if len(statuses) != 1 || (statuses[0] == http.StatusNoContent) != first {
					t.Errorf("the late request was answered with %v", statuses)
				}
				if got := r.data(t, "k"); got != before+"(1)" || n.calls != 1 {
					t.Errorf("stored %q after %d calls of fn", got, n.calls)
				}
			})
		})
	}
}

// Others write between a write whose answer is lost and the look at the row. As
// long as the marks reach back to it, Update knows; beyond, it must not guess.
func TestLostAmongOthers(t *testing.T) {
	for _, applied := range []bool{true, false} {
		for others := range 6 {
			t.Run(fmt.Sprintf("applied %v, %d others", applied, others), func(t *testing.T) {
				bothWays(t, func(t *testing.T, r *rig, before string) {
					lost := false
					r.disturb = func(req *http.Request) (*http.Response, error) {
						if !isWrite(req) || lost {
							return r.next.RoundTrip(req)
						}
						lost = true
						if applied {
							deliver(t, r.next, copyOf(req))
						}
						for range others {
							r.append(t, "k", "o")
						}
						return nil, errLost
					}
					var n numbered
					err := r.faulty.Update(t.Context(), "k", n.fn)
					got, o := r.data(t, "k"), strings.Repeat("o", others)

					// The row holds four marks. Ours is there unless four
					// came after it; and without ours, the one before is
					// there, or the row's beginning is, unless four came.
					known := others < maxMarks
					switch {
					case known != (err == nil):
						t.Fatalf("Update: %v", err)
					case !known && !errors.Is(err, store.ErrUnavailable):
						t.Errorf("Update: %v, want ErrUnavailable", err)
					case applied && (got != before+"(1)"+o || n.calls != 1):
						t.Errorf("stored %q after %d calls of fn", got, n.calls)
					case !applied && !known && got != before+o:
						t.Errorf("stored %q after %d calls of fn", got, n.calls)
					case !applied && known && got != fmt.Sprintf("%s%s(%d)", before, o, n.calls):
						t.Errorf("stored %q after %d calls of fn", got, n.calls)
					case !applied && known && n.calls != min(others, 1)+1:
						t.Errorf("%d calls of fn for %d changes of the row", n.calls, others)
					}
				})
			})
		}
	}
}

// The row is deleted after a write whose answer is lost. Nobody can say whether
// the sweep removed our write or made it impossible.
func TestLostAndDeleted(t *testing.T) {
	r := newRig(t, 0)
	r.append(t, "k", "old")
	var n numbered
	r.disturb = func(req *http.Request) (*http.Response, error) {
		if isWrite(req) {
			e, f := r.clean.client.get(t.Context(), "k")
			if f != nil {
				t.Fatalf("get: %+v", f)
			}
			if ok, err := r.clean.Delete(t.Context(), store.Ref{Key: "k", Version: e.etag}); !ok {
				t.Errorf("Delete: %v", err)
			}
			return nil, errLost
		}
		return r.next.RoundTrip(req)
	}
	err := r.faulty.Update(t.Context(), "k", n.fn)
	if !errors.Is(err, store.ErrUnavailable) || n.calls != 1 {
		t.Errorf("Update: %v after %d calls of fn, want ErrUnavailable after 1", err, n.calls)
	}
	if got := r.data(t, "k"); got != "" {
		t.Errorf("stored %q, want nothing", got)
	}
}

// Without a fault, a row that is deleted meanwhile is a conflict like others.
func TestDeletedMeanwhile(t *testing.T) {
	r := newRig(t, 0)
	r.append(t, "k", "old")
	deleted := false
	err := r.faulty.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
		if !deleted {
			deleted = true
			e, _ := r.clean.client.get(t.Context(), "k")
			if ok, err := r.clean.Delete(t.Context(), store.Ref{Key: "k", Version: e.etag}); !ok {
				t.Errorf("Delete: %v", err)
			}
		}
		return appending("new")(old)
	})
	if got := r.data(t, "k"); err != nil || got != "new" {
		t.Errorf("Update: %v, stored %q, want new", err, got)
	}
}

// Faults come at random to 8 writers at a time: answers lost, requests lost,
// requests that arrive later, overload.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	var late sync.WaitGroup
	r.disturb = func(req *http.Request) (*http.Response, error) {
		if !isWrite(req) {
			if rand.IntN(20) == 0 {
				return nil, errLost
			}
			return r.next.RoundTrip(req)
		}
		switch rand.IntN(10) {
		case 0, 1: // the answer is lost
			deliver(t, r.next, copyOf(req))
			return nil, errLost
		case 2: // the request is lost
			return nil, errLost
		case 3, 4: // the request is late
			c := copyOf(req)
			late.Go(func() {
				time.Sleep(rand.N(60 * time.Millisecond))
				deliver(t, r.next, c)
			})
			return nil, errLost
		case 5: // the service is overloaded, and may have applied it or not
			if rand.IntN(2) == 0 {
				deliver(t, r.next, copyOf(req))
			}
			return answer(req, 503, `{"odata.error":{"code":"ServerBusy"}}`), nil
		}
		return r.next.RoundTrip(req)
	}
	settled := settledTable{Table: r.clean, settle: late.Wait}
	storetest.AppendLog(t, r.faulty, settled, 8, 10)
}

// settledTable is read when no request is on its way any more.
type settledTable struct {
	store.Table
	settle func()
}

func (s settledTable) Get(ctx context.Context, key store.Key) (store.Row, error) {
	s.settle()
	return s.Table.Get(ctx, key)
}

func TestOverloadedRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	r.append(t, "k", "x")
	reads := 0
	r.disturb = func(req *http.Request) (*http.Response, error) {
		if reads++; reads <= 2 {
			return answer(req, 503, "", "Retry-After", "1"), nil
		}
		return r.next.RoundTrip(req)
	}
	ctx, trips := store.WithTrips(t.Context())
	began := time.Now()
	row, err := r.faulty.Get(ctx, "k")
	if err != nil || string(row.Data) != "x" {
		t.Errorf("Get: %q, %v", row.Data, err)
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("took %v, want 2 seconds or more as the service asked twice for one", took)
	}
	if trips.Load() != 3 {
		t.Errorf("%d round trips, want 3: repetitions count", trips.Load())
	}
}

func TestOverloadedWrite(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, r *rig, before string) {
		writes := 0
		r.disturb = func(req *http.Request) (*http.Response, error) {
			if isWrite(req) {
				if writes++; writes == 1 {
					return answer(req, 503, "", "Retry-After", "1"), nil
				}
			}
			return r.next.RoundTrip(req)
		}
		began := time.Now()
		var n numbered
		if err := r.faulty.Update(t.Context(), "k", n.fn); err != nil {
			t.Fatalf("Update: %v", err)
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("took %v, want a second or more as the service asked for it", took)
		}
		if got := r.data(t, "k"); got != before+"(1)" {
			t.Errorf("stored %q", got)
		}
	})
}

// A service that asks for more time than there is gets no further requests.
func TestOverloadedTooLong(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, before string) {
		writes := 0
		r.disturb = func(req *http.Request) (*http.Response, error) {
			if isWrite(req) {
				writes++
				return answer(req, 503, `{"odata.error":{"code":"ServerBusy"}}`, "Retry-After", "30"), nil
			}
			return r.next.RoundTrip(req)
		}
		began := time.Now()
		err := r.faulty.Update(t.Context(), "k", appending("new"))
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "ServerBusy") {
			t.Errorf("Update: %v, want ErrUnavailable and the reason", err)
		}
		if took := time.Since(began); took > 2*time.Second || writes != 1 {
			t.Errorf("%d writes in %v, want 1 at once", writes, took)
		}
		if got := r.data(t, "k"); got != before {
			t.Errorf("stored %q, want %q", got, before)
		}
	})
}

// Somebody else is always first.
func TestConflictStorm(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, r *rig, before string) {
		r.disturb = func(req *http.Request) (*http.Response, error) {
			switch {
			case isWrite(req) && before == "":
				return answer(req, 409, `{"odata.error":{"code":"EntityAlreadyExists"}}`), nil
			case isWrite(req):
				return answer(req, 412, `{"odata.error":{"code":"UpdateConditionNotSatisfied"}}`), nil
			}
			return r.next.RoundTrip(req)
		}
		began := time.Now()
		ctx, trips := store.WithTrips(t.Context())
		var n numbered
		err := r.faulty.Update(ctx, "k", n.fn)
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Update: %v, want ErrUnavailable", err)
		}
		if took := time.Since(began); took > defaultTimeout+time.Second {
			t.Errorf("took %v", took)
		}
		if trips.Load() > 2*maxAttempts || n.calls > maxAttempts || n.calls < 2 {
			t.Errorf("%d round trips and %d calls of fn, want several, at most %d attempts", trips.Load(), n.calls, maxAttempts)
		}
		if got := r.data(t, "k"); got != before {
			t.Errorf("stored %q, want %q", got, before)
		}
	})
}

// calls are the methods of a store, each on the row k.
var calls = map[string]func(context.Context, *Store) error{
	"Get": func(ctx context.Context, s *Store) error {
		_, err := s.Get(ctx, "k")
		return err
	},
	"Update": func(ctx context.Context, s *Store) error {
		return s.Update(ctx, "k", appending("new"))
	},
	"Expired": func(ctx context.Context, s *Store) error {
		_, err := s.Expired(ctx, epoch, "")
		return err
	},
	"Delete": func(ctx context.Context, s *Store) error {
		_, err := s.Delete(ctx, store.Ref{Key: "k", Version: `W/"x"`})
		return err
	},
}

// The service takes the connection and says nothing. Each call ends at the
// store's own limit, or at the context's where that is sooner.
func TestHang(t *testing.T) {
	const limit = 400 * time.Millisecond
	for name, c := range map[string]struct{ own, context time.Duration }{
		"own limit": {limit, time.Minute},
		"context":   {time.Minute, limit},
	} {
		for _, onlyWrites := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, only writes %v", name, onlyWrites), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, c.own)
				r.append(t, "k", "old")
				r.disturb = func(req *http.Request) (*http.Response, error) {
					if onlyWrites && isRead(req) {
						return r.next.RoundTrip(req)
					}
					<-req.Context().Done()
					return nil, req.Context().Err()
				}
				for what, call := range calls {
					if onlyWrites && (what == "Get" || what == "Expired") {
						continue
					}
					ctx, cancel := context.WithTimeout(t.Context(), c.context)
					began := time.Now()
					err := call(ctx, r.faulty)
					took := time.Since(began)
					cancel()
					if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s: %v, want ErrUnavailable because of the deadline", what, err)
					}
					if took < limit/2 || took > limit+2*time.Second {
						t.Errorf("%s took %v, want about %v", what, took, limit)
					}
				}
				if got := r.data(t, "k"); got != "old" {
					t.Errorf("stored %q, want old", got)
				}
			})
		}
	}
}

// What comes back is not from the service, or not whole. It must not be taken
// for a row, nor for the absence of one: that would forget counted failures.
func TestGarbage(t *testing.T) {
	const good = `{"Data":"b2xk","Mark":"0123456789abcdef","KeepUntil":"5"}`
	const etag = `W/"x"`
	for name, c := range map[string]struct {
		status     int
		body, etag string
	}{
		"html":            {200, "<html>", etag},
		"empty":           {200, "", etag},
		"empty object":    {200, "{}", etag},
		"null":            {200, "null", etag},
		"cut off":         {200, good[:30], etag},
		"no etag":         {200, good, ""},
		"wildcard etag":   {200, good, "*"},
		"not base64":      {200, strings.Replace(good, "b2xk", "?", 1), etag},
		"no data":         {200, strings.Replace(good, "b2xk", "", 1), etag},
		"no mark":         {200, strings.Replace(good, "0123456789abcdef", "", 1), etag},
		"half a mark":     {200, strings.Replace(good, "89abcdef", "", 1), etag},
		"no time":         {200, strings.Replace(good, `"5"`, `"x"`, 1), etag},
		"no content":      {204, "", etag},
		"redirect":        {307, "", etag},
		"a proxy's 404":   {404, "<html>", ""},
		"a strange 404":   {404, `{"odata.error":{"code":"NoSuchHost"}}`, ""},
		"forbidden":       {403, `{"odata.error":{"code":"AuthenticationFailed"}}`, ""},
		"being deleted":   {409, `{"odata.error":{"code":"TableBeingDeleted"}}`, ""},
		"not a status":    {999, good, etag},
		"a list, no rows": {200, `{"value":[]}`, etag},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 0)
			r.append(t, "k", "old")
			r.disturb = func(req *http.Request) (*http.Response, error) {
				if isRead(req) {
					return answer(req, c.status, c.body, "ETag", c.etag, "Location", "http://127.0.0.1:1/"), nil
				}
				t.Errorf("sent %s after an answer that is no good", req.Method)
				return r.next.RoundTrip(req)
			}
			row, err := r.faulty.Get(t.Context(), "k")
			if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) || row.Data != nil {
				t.Errorf("Get: %q, %v, want ErrUnavailable", row.Data, err)
			}
			err = r.faulty.Update(t.Context(), "k", func([]byte) (store.Row, error) {
				t.Error("Update called fn")
				return store.Row{}, store.SkipWrite
			})
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Update: %v, want ErrUnavailable", err)
			}
			if got := r.data(t, "k"); got != "old" {
				t.Errorf("stored %q, want old", got)
			}
		})
	}
}

func TestGarbageInList(t *testing.T) {
	r := newRig(t, 0)
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"html":          {200, "<html>"},
		"cut off":       {200, `{"value":[{"PartitionKey":"a",`},
		"bad key":       {200, `{"value":[{"PartitionKey":"A'","odata.etag":"W/\"x\""}]}`},
		"no key":        {200, `{"value":[{"odata.etag":"W/\"x\""}]}`},
		"no etag":       {200, `{"value":[{"PartitionKey":"a"}]}`},
		"wildcard etag": {200, `{"value":[{"PartitionKey":"a","odata.etag":"*"}]}`},
		"a proxy's 404": {404, "<html>"},
		"forbidden":     {403, ""},
	} {
		r.disturb = func(req *http.Request) (*http.Response, error) {
			return answer(req, c.status, c.body), nil
		}
		page, err := r.faulty.Expired(t.Context(), epoch, "")
		if !errors.Is(err, store.ErrUnavailable) || page.Rows != nil || page.Next != "" {
			t.Errorf("%s: %v, %v, want ErrUnavailable", name, page, err)
		}
	}
}

// A write that is refused for good is not tried again.
func TestRefused(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, before string) {
		for status, code := range map[int]string{
			400: "InvalidInput", 401: "NoAuthenticationInformation", 403: "AuthorizationPermissionMismatch",
			404: "AccountNotFound", 409: "TableBeingDeleted", 413: "RequestBodyTooLarge",
		} {
			writes := 0
			r.disturb = func(req *http.Request) (*http.Response, error) {
				if isWrite(req) {
					writes++
					return answer(req, status, fmt.Sprintf(`{"odata.error":{"code":%q}}`, code)), nil
				}
				return r.next.RoundTrip(req)
			}
			err := r.faulty.Update(t.Context(), "k", appending("new"))
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), code) || writes != 1 {
				t.Errorf("%d: %v after %d writes, want ErrUnavailable with the code after one", status, err, writes)
			}
		}
		if got := r.data(t, "k"); got != before {
			t.Errorf("stored %q, want %q", got, before)
		}
	})
}
