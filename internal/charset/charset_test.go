package charset_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"twofa/internal/charset"
	"twofa/internal/testing/fixture"
)

// inUTF32 writes a text as other programs do.
func inUTF32(order binary.AppendByteOrder, text string) string {
	var b []byte
	for _, r := range text {
		b = order.AppendUint32(b, uint32(r))
	}
	return string(b)
}

// text is what the two readers are tried with: as short as a text can be, and longer.
var texts = []string{"{}", "{\r\n}", `{"to":"+14155550123"}`, "to=%2B14155550123", "name,phone\n", "a", "ab", "abc"}

func TestText_DropsMarksAndNamesOtherEncodings(t *testing.T) {
	t.Parallel()
	const mark = "\ufeff"
	le, be := binary.LittleEndian, binary.BigEndian
	for _, text := range texts {
		for _, c := range []struct {
			data, want string
			err        error
		}{
			{text, text, nil}, {mark + text, text, nil}, {mark + mark + text, text, nil}, {text + mark, text + mark, nil}, {" " + mark + text, " " + mark + text, nil},
			{fixture.UTF16(le, mark+text), "", charset.ErrUTF16}, {fixture.UTF16(be, mark+text), "", charset.ErrUTF16}, {fixture.UTF16(le, text), "", charset.ErrUTF16}, {fixture.UTF16(be, text), "", charset.ErrUTF16},
			{inUTF32(le, mark+text), "", charset.ErrUTF32}, {inUTF32(be, mark+text), "", charset.ErrUTF32}, {inUTF32(le, text), "", charset.ErrUTF32}, {inUTF32(be, text), "", charset.ErrUTF32},
		} {
			if got, err := charset.Text([]byte(c.data)); err != c.err || string(got) != c.want {
				t.Errorf("%q is read as %q, %v; want %q, %v", c.data, got, err, c.want, c.err)
			}
			reader, converted, err := charset.Reader(iotest.OneByteReader(strings.NewReader(c.data)))
			if wasUTF16 := c.err == charset.ErrUTF16 && (c.data[0] >= 0xfe || c.data[1] >= 0xfe); wasUTF16 {
				if got, failed := io.ReadAll(reader); err != nil || failed != nil || !converted || string(got) != text {
					t.Errorf("the file %q is read as %q, %t, %v, %v; want %q", c.data, got, converted, err, failed, text)
				}
				continue
			}
			if err != c.err || converted {
				t.Errorf("the file %q: %t, %v; want %v", c.data, converted, err, c.err)
			} else if err == nil {
				if got, failed := io.ReadAll(reader); failed != nil || string(got) != c.want {
					t.Errorf("the file %q is read as %q, %v; want %q", c.data, got, failed, c.want)
				}
			}
		}
	}
	for _, empty := range []string{"", mark, "\x00", "\xff", "\x00\x00\x00\x00"} {
		if got, err := charset.Text([]byte(empty)); err != nil || string(got) != strings.TrimPrefix(empty, mark) {
			t.Errorf("%q is read as %q, %v", empty, got, err)
		}
	}
}

func TestReader_ReturnsTheFilesError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, start := range []string{"", "na", "name,phone\n", "\ufeff", "\xff\xfen\x00"} {
		reader, _, err := charset.Reader(io.MultiReader(strings.NewReader(start), iotest.ErrReader(broken)))
		if err == nil {
			_, err = io.ReadAll(reader)
		}
		if !errors.Is(err, broken) {
			t.Errorf("%q: %v", start, err)
		}
	}
}

// Half a character in UTF-16 becomes U+FFFD, and never disappears.
func TestReader_KeepsThePlaceOfHalfACharacter(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"\xff\xfea\x00\x00\xd8b\x00": "a\ufffdb", "\xff\xfea\x00\x00\xdcb\x00": "a\ufffdb", "\xff\xfea\x00\x00\xd8": "a\ufffd", "\xff\xfea\x00b": "a\ufffd",
		"\xfe\xff\x00a\xd8\x00\x00b": "a\ufffdb", "\xff\xfe\x3d\xd8\x00\xde": "😀",
	} {
		reader, converted, err := charset.Reader(strings.NewReader(file))
		if err != nil || !converted {
			t.Fatalf("%q: %t, %v", file, converted, err)
		}
		if got, err := io.ReadAll(reader); err != nil || string(got) != want {
			t.Errorf("%q is read as %q, %v; want %q", file, got, err, want)
		}
	}
}

func TestReader_ConvertsAnyText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		order := rapid.SampledFrom([]binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian}).Draw(t, "order")
		if strings.HasPrefix(text, "\x00") || strings.HasPrefix(text, "\ufeff") {
			return
		}
		reader, converted, err := charset.Reader(strings.NewReader(fixture.UTF16(order, "\ufeff"+text)))
		if err != nil || !converted {
			t.Fatalf("%t, %v", converted, err)
		}
		if got, err := io.ReadAll(reader); err != nil || string(got) != text {
			t.Fatalf("%q is read as %q, %v", text, got, err)
		}
	})
}

func TestCheck_PassesTheNamesOfUTF8AndNamesOthers(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"", "utf-8", "UTF-8", "utf8", "UTF8", "utf_8", "Utf_8", "us-ascii", "US-ASCII", "ascii", "utf-8-sig", `"utf-8"`, "'utf-8'", " utf-8 ", "ANSI_X3.4-1968", "csUTF8", "cp65001"} {
		if err := charset.Check(label); err != nil {
			t.Errorf("%q: %v", label, err)
		}
	}
	for label, want := range map[string]string{
		"iso-8859-1": "the charset iso-8859-1", "ISO-8859-15": "the charset iso-8859-15", "latin1": "the charset latin1", "windows-1252": "the charset windows-1252", "utf-16": "the charset utf-16",
		"UTF-16LE": "the charset utf-16le", "utf-32": "the charset utf-32", "utf-7": "the charset utf-7", "shift_jis": "the charset shift_jis", "gb18030": "the charset gb18030", "koi8-r": "the charset koi8-r",
		"utf-8; x": "an unknown charset", "<script>": "an unknown charset", "é": "an unknown charset", "utf\n8": "an unknown charset", strings.Repeat("x", 41): "an unknown charset", "utf-88": "the charset utf-88",
	} {
		if err := charset.Check(label); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", label, err, want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "{}", "\ufeff{}", "\xff\xfe{\x00}\x00", "\xfe\xff\x00{", "{\x00}\x00", "\x00\x00\xfe\xff", "\xff\xfe\x00\x00", "\x00", "\ufeff\ufeff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := charset.Text(bytes.Clone(data))
		if err != nil {
			if text != nil {
				t.Fatalf("%q gives %q and %v", data, text, err)
			}
			return
		}
		if !bytes.HasSuffix(data, text) || bytes.HasPrefix(text, []byte("\ufeff")) || strings.ReplaceAll(string(data[:len(data)-len(text)]), "\ufeff", "") != "" {
			t.Fatalf("%q is read as %q", data, text)
		}
		// Both readers read the same.
		reader, converted, err := charset.Reader(bytes.NewReader(data))
		if err != nil || converted {
			t.Fatalf("the file %q: %t, %v", data, converted, err)
		}
		if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%q is read as %q, the file as %q, %v", data, text, got, err)
		}
	})
}
