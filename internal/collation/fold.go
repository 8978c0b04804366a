package collation

import (
	"strings"
	"unicode/utf8"
)

// Append appends the form of a text in which those that the family holds equal, and no
// others, read the same. Of a family that is not known it is the text in lower case,
// which tells apart what only more than case makes equal.
func Append(buf []byte, family, text string) []byte {
	name, nopad := split(family)
	if name == "ascii" {
		buf = append(buf, strings.ToLower(text)...)
		if !nopad {
			buf = trim(buf, 0)
		}
		return buf
	}
	load := tables[name]
	if load == nil {
		return append(buf, strings.ToLower(text)...)
	}
	t, start := load(), len(buf)
	for i := 0; i < len(text); {
		// Most texts are ASCII, and no row of characters that weighs other than they do
		// begins there.
		if c := text[i]; c < utf8.RuneSelf {
			buf = append(buf, t.ascii[c]...)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		i += n
		if rest := t.rows[r]; rest != nil {
			if spelled, n := longest(rest, text[i:]); n > 0 {
				buf = append(buf, spelled...)
				i += n
				continue
			}
		}
		buf = t.appendRune(buf, r)
	}
	if !nopad {
		buf = trim(buf, start)
	}
	return buf
}

// trim takes the spaces away that end a form which begins at start.
func trim(buf []byte, start int) []byte {
	for len(buf) > start && buf[len(buf)-1] == ' ' {
		buf = buf[:len(buf)-1]
	}
	return buf
}

// longest finds the longest row of characters that text begins with.
func longest(rows []row, text string) (spelled string, n int) {
	for _, r := range rows {
		if len(r.rest) > n && strings.HasPrefix(text, r.rest) {
			spelled, n = r.spelled, len(r.rest)
		}
	}
	return spelled, n
}

// The syllables of Hangul are made of up to three letters each.
const (
	firstSyllable, lastSyllable = 0xAC00, 0xD7A3
	leading, vowel, trailing    = 0x1100, 0x1161, 0x11A7
	vowels, trailings           = 21, 28
)

func (t *table) appendRune(buf []byte, r rune) []byte {
	if s, ok := t.single[r]; ok {
		return append(buf, s...)
	}
	for _, s := range t.spans {
		if s.low <= r && r <= s.high {
			return append(buf, s.spelled...)
		}
	}
	if t.hangul && r >= firstSyllable && r <= lastSyllable {
		n := r - firstSyllable
		buf = t.appendRune(buf, leading+n/(vowels*trailings))
		buf = t.appendRune(buf, vowel+n%(vowels*trailings)/trailings)
		if n%trailings > 0 {
			buf = t.appendRune(buf, trailing+n%trailings)
		}
		return buf
	}
	return utf8.AppendRune(buf, r)
}
