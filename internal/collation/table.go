package collation

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// The tables have a line for each character that is spelled by others: its number, or
// those of a row of them, and the numbers of the characters that spell it, none where a
// text is equal without it. All other characters stand for themselves.
//
//go:embed tables/*.gz
var files embed.FS

// tables are read when first used: a server seldom has more than one or two.
var tables = map[string]func() *table{
	"0900_ai_ci": reading("0900_ai_ci", true), "uca1400_ai_ci": reading("uca1400_ai_ci", false),
	"unicode_520_ci": reading("unicode_520_ci", false), "unicode_ci": reading("unicode_ci", false),
	"general_ci": reading("general_ci", false), "latin1_swedish_ci": reading("latin1_swedish_ci", false),
}

// table says how a collation's characters are spelled.
type table struct {
	ascii  [utf8.RuneSelf]string
	single map[rune]string
	spans  []span         // of characters that are all spelled alike
	rows   map[rune][]row // of characters that weigh other than they do alone, by the first
	hangul bool           // syllables are equal to their letters
}

type span struct {
	low, high rune
	spelled   string
}

type row struct{ rest, spelled string }

func reading(name string, hangul bool) func() *table {
	return sync.OnceValue(func() *table {
		t, err := read(name)
		if err != nil { // the file is part of the program, and a test reads each
			panic(fmt.Sprintf("reading the table of %s: %v", name, err))
		}
		t.hangul = hangul
		return t
	})
}

func read(name string) (*table, error) {
	packed, err := files.ReadFile("tables/" + name + ".gz")
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	t := &table{single: map[rune]string{}, rows: map[rune][]row{}}
	for line := range strings.Lines(string(text)) {
		what, spelling, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		spelled, err := characters(spelling, " ")
		if err != nil {
			return nil, err
		}
		if low, high, ok := strings.Cut(what, "-"); ok {
			ends, err := characters(low+" "+high, " ")
			if err != nil {
				return nil, err
			}
			r := []rune(ends)
			if r[1]-r[0] >= 1000 {
				t.spans = append(t.spans, span{r[0], r[1], spelled})
				continue
			}
			for ; r[0] <= r[1]; r[0]++ {
				t.single[r[0]] = spelled
			}
			continue
		}
		of, err := characters(what, "+")
		if err != nil {
			return nil, err
		}
		first, n := utf8.DecodeRuneInString(of)
		if n < len(of) {
			t.rows[first] = append(t.rows[first], row{of[n:], spelled})
		} else {
			t.single[first] = spelled
		}
	}
	for c := range t.ascii {
		s, ok := t.single[rune(c)]
		if !ok {
			s = string(rune(c))
		}
		t.ascii[c] = s
	}
	return t, nil
}

// characters reads numbers of characters in hexadecimal.
func characters(numbers, between string) (string, error) {
	var out strings.Builder
	for n := range strings.SplitSeq(numbers, between) {
		if n == "" {
			continue
		}
		r, err := strconv.ParseInt(n, 16, 32)
		if err != nil {
			return "", err
		}
		out.WriteRune(rune(r))
	}
	return out.String(), nil
}
