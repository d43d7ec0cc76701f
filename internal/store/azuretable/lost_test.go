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
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
)

// The write is applied, and its answer does not arrive or is not valid.
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
				r.onWrite(func(req *http.Request) (*http.Response, error) {
					writes++
					if s := r.deliver(t, copyOf(req)); s != http.StatusNoContent {
						t.Errorf("write %d: status %d", writes, s)
					}
					return lose(req)
				})
				ctx, trips := store.WithTrips(t.Context())
				r.wantUpdate(t, ctx, before)
				want := int64(3) // read, write, read again
				if r.from {
					want = 2
				}
				if writes != 1 || trips.Load() != want {
					t.Errorf("%d writes and %d round trips, want 1 and %d", writes, trips.Load(), want)
				}
			})
		})
	}
}

// The SDK repeats the write, as it does by default, and reports that the repetition failed.
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
			transporter{r.faulty.client.transport, tryTimeout, maxRow}, policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		var statuses []int
		r.onWrite(func(req *http.Request) (*http.Response, error) {
			if statuses == nil {
				statuses = append(statuses, r.deliver(t, copyOf(req)))
				return nil, errLost
			}
			resp, err := r.next.RoundTrip(req)
			if err == nil {
				statuses = append(statuses, resp.StatusCode)
			}
			return resp, err
		})
		r.wantUpdate(t, t.Context(), before)
		conflict := map[string]int{"": 409, "old": 412}[before]
		if fmt.Sprint(statuses) != fmt.Sprint([]int{204, conflict}) {
			t.Errorf("the service answered %v, so this test shows nothing", statuses)
		}
	})
}

// The write does not arrive. It is sent again unchanged, because it may still arrive.
func TestLostRequest(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, before string) {
		writes := 0
		r.onWrite(func(req *http.Request) (*http.Response, error) {
			if writes++; writes <= 2 {
				return nil, errLost
			}
			return r.next.RoundTrip(req)
		})
		r.wantUpdate(t, t.Context(), before)
	})
}

// The first copy of the write arrives when the second one has been sent: before the second
// one, or after it.
func TestLateRequest(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("before the copy %v", first), func(t *testing.T) {
			bothWays(t, func(t *testing.T, r *rig, before string) {
				var late *http.Request
				var statuses []int
				r.onWrite(func(req *http.Request) (*http.Response, error) {
					if late == nil {
						late = copyOf(req)
						return nil, errLost
					}
					if len(statuses) > 0 {
						t.Error("written a third time")
					}
					if first {
						statuses = append(statuses, r.deliver(t, late))
						return r.next.RoundTrip(req)
					}
					resp, err := r.next.RoundTrip(req)
					statuses = append(statuses, r.deliver(t, late))
					return resp, err
				})
				r.wantUpdate(t, t.Context(), before)
				if len(statuses) != 1 || (statuses[0] == http.StatusNoContent) != first {
					t.Errorf("the late request was answered with %v", statuses)
				}
			})
		})
	}
}

// Others write after a write whose answer is lost, and before the row is read again. If the
// marks reach back to the write, Update knows its outcome. Otherwise it must not guess.
func TestLostAmongOthers(t *testing.T) {
	for _, applied := range []bool{true, false} {
		for others := range 6 {
			t.Run(fmt.Sprintf("applied %v, %d others", applied, others), func(t *testing.T) {
				bothWays(t, func(t *testing.T, r *rig, before string) {
					lost := false
					r.onWrite(func(req *http.Request) (*http.Response, error) {
						if lost {
							return r.next.RoundTrip(req)
						}
						lost = true
						if applied {
							r.deliver(t, copyOf(req))
						}
						for range others {
							if err := r.update(t, t.Context(), r.clean, storetest.Append("o")); err != nil {
								t.Error(err)
							}
						}
						return nil, errLost
					})
					var n numbered
					err := r.update(t, t.Context(), r.faulty, n.fn)
					got, o := storetest.Data(t, r.clean, "k"), strings.Repeat("o", others)

					// The row has the last four marks. After four other writes, neither the
					// mark of our write nor the mark before it is left.
					known := others < maxMarks
					switch {
					case known != (err == nil):
						t.Fatalf("update: %v", err)
					case !known && !errors.Is(err, store.ErrUnavailable):
						t.Errorf("update: %v, want ErrUnavailable", err)
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

// The row is deleted after a write whose answer is lost. It is unknown whether the write
// was applied before.
func TestLostAndDeleted(t *testing.T) {
	r := newRig(t, 0)
	storetest.Put(t, r.clean, "k", "old", fixture.Noon)
	var n numbered
	r.onWrite(func(*http.Request) (*http.Response, error) {
		r.delete(t)
		return nil, errLost
	})
	err := r.faulty.Update(t.Context(), "k", n.fn)
	if !errors.Is(err, store.ErrUnavailable) || n.calls != 1 {
		t.Errorf("Update: %v after %d calls of fn, want ErrUnavailable after 1", err, n.calls)
	}
	r.wantData(t, "")
}

// Without a fault, the deletion of the row is a conflict like others.
func TestDeletedMeanwhile(t *testing.T) {
	r := newRig(t, 0)
	storetest.Put(t, r.clean, "k", "old", fixture.Noon)
	var once sync.Once
	err := r.faulty.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
		once.Do(func() { r.delete(t) })
		return storetest.Append("new")(old)
	})
	if err != nil {
		t.Errorf("Update: %v", err)
	}
	r.wantData(t, "new")
}

// Random faults for 8 writers at the same time: lost answers, lost requests, late requests
// and overload.
func TestRandomFaults(t *testing.T) {
	for name, begin := range map[string]func(store.Table) store.Table{
		"Update":     func(table store.Table) store.Table { return table },
		"UpdateFrom": storetest.From,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRandomFaults(t, begin)
		})
	}
}

func testRandomFaults(t *testing.T, begin func(store.Table) store.Table) {
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
			r.deliver(t, copyOf(req))
			return nil, errLost
		case 2: // the request is lost
			return nil, errLost
		case 3, 4: // the request is late
			c := copyOf(req)
			late.Go(func() {
				time.Sleep(rand.N(60 * time.Millisecond))
				r.deliver(t, c)
			})
			return nil, errLost
		case 5: // the service is overloaded, and may have applied the write
			if rand.IntN(2) == 0 {
				r.deliver(t, copyOf(req))
			}
			return answer(req, 503, `{"odata.error":{"code":"ServerBusy"}}`), nil
		}
		return r.next.RoundTrip(req)
	}
	storetest.AppendLog(t, begin(r.faulty), settledTable{r.clean, late.Wait}, 8, 10)
}

// settledTable waits before each read until all late requests have arrived.
type settledTable struct {
	store.Table
	settle func()
}

func (s settledTable) Get(ctx context.Context, key store.Key) (store.Row, error) {
	s.settle()
	return s.Table.Get(ctx, key)
}
