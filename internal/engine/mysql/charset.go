package mysql

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// charsets are the character sets of the server that are not UTF-8 or ASCII, by name.
// The log has texts in the character set of their column.
var charsets = map[string]encoding.Encoding{
	"latin1": charmap.Windows1252, // with the five that it leaves out, see toUTF8
	"latin2": charmap.ISO8859_2, "latin5": charmap.ISO8859_9, "latin7": charmap.ISO8859_13,
	"greek": charmap.ISO8859_7, "hebrew": charmap.ISO8859_8,
	"cp1250": charmap.Windows1250, "cp1251": charmap.Windows1251, "cp1256": charmap.Windows1256, "cp1257": charmap.Windows1257,
	"cp850": charmap.CodePage850, "cp852": charmap.CodePage852, "cp866": charmap.CodePage866,
	"koi8r": charmap.KOI8R, "koi8u": charmap.KOI8U, "macroman": charmap.Macintosh, "tis620": charmap.Windows874,
	"sjis": japanese.ShiftJIS, "cp932": japanese.ShiftJIS, "ujis": japanese.EUCJP, "eucjpms": japanese.EUCJP,
	"euckr":  korean.EUCKR,
	"gb2312": simplifiedchinese.GBK, "gbk": simplifiedchinese.GBK, "gb18030": simplifiedchinese.GB18030,
	"big5": traditionalchinese.Big5,
	"ucs2": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "utf16": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	"utf16le": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM),
	"utf32":   utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM),
}

// sameAsUTF8 are the character sets whose texts are UTF-8 already.
func sameAsUTF8(charset string) bool {
	switch charset {
	case "", "utf8mb4", "utf8mb3", "utf8", "ascii", "binary":
		return true
	}
	return false
}

func knownCharset(charset string) bool { return sameAsUTF8(charset) || charsets[charset] != nil }

// errCharset is a text that is not of its character set.
var errCharset = errors.New("a text that is not of its column's character set")

// toUTF8 turns the log's bytes of a text into UTF-8.
func toUTF8(charset, text string) (string, error) {
	if sameAsUTF8(charset) {
		if !utf8.ValidString(text) {
			return "", errCharset
		}
		return text, nil
	}
	e := charsets[charset]
	if e == nil {
		return "", errCharset
	}
	if charset == "latin1" {
		return latin1(text), nil
	}
	out, err := e.NewDecoder().String(text)
	if err != nil || strings.ContainsRune(out, utf8.RuneError) {
		return "", errCharset
	}
	return out, nil
}

// latin1 is the server's: Windows-1252, and what that leaves out as control characters.
func latin1(text string) string {
	ascii := true
	for i := 0; i < len(text) && ascii; i++ {
		ascii = text[i] < 0x80
	}
	if ascii {
		return text
	}
	out := make([]rune, 0, len(text))
	for i := 0; i < len(text); i++ {
		r := charmap.Windows1252.DecodeByte(text[i])
		if r == utf8.RuneError {
			r = rune(text[i])
		}
		out = append(out, r)
	}
	return string(out)
}
