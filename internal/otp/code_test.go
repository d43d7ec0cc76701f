package otp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
)

func TestCode_MatchesVectorsOfAnotherProgram(t *testing.T) {
	var vectors []struct {
		Secret, ID, Nonce, Alphabet, Code string
		Length                            int
	}
	raw, err := os.ReadFile("testdata/codes.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 10 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	for _, want := range vectors {
		secret, _ := hex.DecodeString(want.Secret)
		nonce, _ := hex.DecodeString(want.Nonce)
		keys := mustParse(base64.StdEncoding.EncodeToString(secret))
		v := otp.Verification{
			ID: otp.ID(want.ID), Nonce: [16]byte(nonce), Key: keys.Current(),
			Shape: otp.Shape{
				Length:   want.Length,
				Alphabet: map[string]otp.Alphabet{"digits": otp.Digits, "alphanumeric": otp.Alphanumeric}[want.Alphabet],
			},
		}
		if got, ok := v.Code(keys); !ok || got != want.Code {
			t.Errorf("%s: got %q, %v; want %q", want.ID, got, ok, want.Code)
		}
	}
}

// Every code comes from the real keyring; ids and nonces are counted, not drawn,
// so that the result is the same in every run. The bounds are the 0.999
// quantiles of chi-square: a fair generator passes with a chance of 99.9 % for
// each statistic, and without the rejection of the bytes from 250 on the first
// one is near 370.
func TestR1_CodesAreUniformAndKeepLeadingZeros(t *testing.T) {
	for _, tc := range []struct {
		shape otp.Shape
		codes int
		// Quantiles for the degrees of freedom: symbols - 1, symbols^2 - 1.
		single, pair float64
	}{
		{otp.Shape{Length: 6, Alphabet: otp.Digits}, 1_000_000, 27.877, 148.230},
		{otp.Shape{Length: 8, Alphabet: otp.Alphanumeric}, 100_000, 61.098, 1168.50},
	} {
		symbols := tc.shape.Alphabet.Symbols()
		t.Run(fmt.Sprintf("%d of %d symbols", tc.shape.Length, len(symbols)), func(t *testing.T) {
			n := tc.codes
			if raceEnabled || testing.Short() {
				n /= 10 // still 36 or so without the rejection
			}
			single, pairs := countSymbols(t, tc.shape, n)
			for i := range single {
				if x := chiSquare(single[i], n); x > tc.single {
					t.Errorf("position %d: chi-square %.1f over %d codes, want at most %.1f", i, x, n, tc.single)
				}
			}
			for i := range pairs {
				if x := chiSquare(pairs[i], n); x > tc.pair {
					t.Errorf("positions %d and %d: chi-square %.1f over %d codes, want at most %.1f", i, i+1, x, n, tc.pair)
				}
			}
		})
	}
}

// countSymbols makes n codes and counts their symbols at each position, and the
// pairs of symbols at positions side by side.
func countSymbols(t *testing.T, shape otp.Shape, n int) (single, pairs [][]int) {
	symbols := shape.Alphabet.Symbols()
	var place [256]int
	for i := range place {
		place[i] = strings.IndexByte(symbols, byte(i))
	}
	for range shape.Length {
		single = append(single, make([]int, len(symbols)))
		pairs = append(pairs, make([]int, len(symbols)*len(symbols)))
	}
	pairs = pairs[1:]

	const workers = 2
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			codes := make([]string, 0, n/workers+1)
			for i := w; i < n; i += workers {
				v := otp.Verification{ID: "VE00112233445566778899aabbccddeeff", Key: keyring.Current(), Shape: shape}
				binary.BigEndian.PutUint64(v.Nonce[8:], uint64(i))
				code, ok := v.Code(keyring)
				if !ok || len(code) != shape.Length {
					t.Errorf("code %q, %v; want %d symbols", code, ok, shape.Length)
					return
				}
				codes = append(codes, code)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, code := range codes {
				for i := range len(code) {
					single[i][place[code[i]]]++
					if i > 0 {
						pairs[i-1][place[code[i-1]]*len(symbols)+place[code[i]]]++
					}
				}
			}
		})
	}
	wg.Wait()
	return single, pairs
}

// chiSquare is Pearson's statistic of n draws against equal chances.
func chiSquare(counts []int, n int) float64 {
	expected := float64(n) / float64(len(counts))
	sum := 0.0
	for _, c := range counts {
		d := float64(c) - expected
		sum += d * d / expected
	}
	return sum
}

// fixedBlocks answers with its blocks and records the messages.
type fixedBlocks struct {
	blocks [][32]byte
	asked  [][]byte
}

func (s *fixedBlocks) CodeMAC(_ [4]byte, message []byte) ([32]byte, bool) {
	s.asked = append(s.asked, bytes.Clone(message))
	return s.blocks[binary.BigEndian.Uint32(message[len(message)-4:])], true
}

func TestR1_BytesThatWouldFavourASymbolAreSkipped(t *testing.T) {
	keys := &fixedBlocks{blocks: make([][32]byte, 1)}
	copy(keys.blocks[0][:], []byte{250, 249, 255, 0, 251, 10, 252, 123, 253, 254, 98, 7})
	v := otp.Verification{ID: newID(fixture.Alice, 1), Shape: otp.Shape{Length: 6, Alphabet: otp.Digits}}
	if code, ok := v.Code(keys); !ok || code != "900387" {
		t.Errorf("got %q, %v; want 900387", code, ok)
	}
	v.Shape = otp.Shape{Length: 6, Alphabet: otp.Alphanumeric} // 256 is a multiple of 32: nothing to skip
	want := ""
	for _, b := range keys.blocks[0][:6] {
		want += string("23456789ABCDEFGHJKLMNPQRSTUVWXYZ"[b%32])
	}
	if code, ok := v.Code(keys); !ok || code != want {
		t.Errorf("got %q, %v; want %q", code, ok, want)
	}
}

func TestR1_AUsedUpBlockIsFollowedByTheNext(t *testing.T) {
	keys := &fixedBlocks{blocks: make([][32]byte, 3)}
	for i := range 32 {
		keys.blocks[0][i], keys.blocks[1][i] = 255, 250
	}
	keys.blocks[0][31] = 4 // one symbol from the first, none from the second
	copy(keys.blocks[2][:], []byte{5, 6, 7, 8, 9})
	v := otp.Verification{
		ID: newID(fixture.Alice, 1), Nonce: [16]byte{1, 2, 3, 15: 16}, Shape: otp.Shape{Length: 6, Alphabet: otp.Digits},
	}
	if code, ok := v.Code(keys); !ok || code != "456789" {
		t.Errorf("got %q, %v; want 456789", code, ok)
	}
	prefix := append([]byte(v.ID), v.Nonce[:]...)
	want := [][]byte{
		append(slices.Clone(prefix), 0, 0, 0, 0),
		append(slices.Clone(prefix), 0, 0, 0, 1),
		append(slices.Clone(prefix), 0, 0, 0, 2),
	}
	if !slices.EqualFunc(keys.asked, want, bytes.Equal) {
		t.Errorf("asked for %x, want %x", keys.asked, want)
	}
}

func TestCode_DependsOnIDNonceAndSecretAlone(t *testing.T) {
	ring := fixture.Keys(t, 1, 100)
	old := fixture.Keys(t, 100).Current()
	v := otp.Verification{ID: newID(fixture.Alice, 1), Key: ring.Current(), Shape: otp.Shape{Length: 10, Alphabet: otp.Alphanumeric}}
	code := func(v otp.Verification) string {
		c, ok := v.Code(ring)
		if !ok {
			t.Fatal("no code")
		}
		return c
	}
	want := code(v)
	for name, change := range map[string]func(*otp.Verification){
		"id":     func(v *otp.Verification) { v.ID = newID(fixture.Alice, 2) },
		"nonce":  func(v *otp.Verification) { v.Nonce[15] ^= 1 },
		"secret": func(v *otp.Verification) { v.Key = old },
	} {
		other := v
		change(&other)
		if code(other) == want {
			t.Errorf("another %s gives the same code", name)
		}
	}
	later := v
	later.Status, later.Checks, later.Workflow = otp.Approved, 3, []channel.Channel{"sms"}
	later.Attempts = []otp.Attempt{{Channel: "sms", At: fixture.Noon, Status: otp.Delivered}}
	if code(later) != want {
		t.Error("the code changes while the verification lives")
	}
}

func TestShape_Bounds(t *testing.T) {
	for _, tc := range []struct {
		shape otp.Shape
		want  bool
	}{
		{otp.Shape{Length: 3, Alphabet: otp.Digits}, false},
		{otp.Shape{Length: 4, Alphabet: otp.Digits}, true},
		{otp.Shape{Length: 10, Alphabet: otp.Alphanumeric}, true},
		{otp.Shape{Length: 11, Alphabet: otp.Alphanumeric}, false},
		{otp.Shape{Length: 6, Alphabet: 0}, false},
		{otp.Shape{Length: 6, Alphabet: 3}, false},
	} {
		if got := tc.shape.Valid(); got != tc.want {
			t.Errorf("%+v: got %v, want %v", tc.shape, got, tc.want)
		}
		v := otp.Verification{ID: newID(fixture.Alice, 1), Key: keyring.Current(), Shape: tc.shape}
		if code, ok := v.Code(keyring); ok != tc.want || len(code) != map[bool]int{true: tc.shape.Length}[tc.want] {
			t.Errorf("%+v: code %q, %v; want %v", tc.shape, code, ok, tc.want)
		}
	}
}

func TestAlphanumeric_HasNoSimilarCharacters(t *testing.T) {
	symbols := otp.Alphanumeric.Symbols()
	if len(symbols) != 32 || strings.ContainsAny(symbols, "0O1Il") || symbols != strings.ToUpper(symbols) {
		t.Errorf("got %q", symbols)
	}
}
