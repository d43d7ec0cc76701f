package azuretable

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"twofa/internal/store"
	"twofa/internal/testing/storetest"
)

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
		r.faulty.client.writes, err = newTableClient(connect, r.options.TablePrefix+"recipients",
			transporter{r.faulty.client.transport, tryTimeout}, policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond})
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
