package compare

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Plain rows are those that databases of different engines write in the same way:
// every value in quotes, or NULL; moments in UTC with six digits of a second; bytes in
// hexadecimal; documents in one spelling.

// document is a JSON document with its members in order and without spaces. What cannot be
// read stays as it is.
func document(text string) string {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return text
	}
	out, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return string(out)
}

// appendPlain appends a value to a row that ends with a parenthesis; nil is NULL.
func appendPlain(row []byte, text []byte, isDocument bool) []byte {
	switch {
	case text == nil:
		return append(row, "NULL"...)
	case isDocument:
		return strconv.AppendQuote(row, document(string(text)))
	}
	return strconv.AppendQuote(row, string(text))
}

// plainRow writes values between parentheses. documents says which are.
func plainRow(row []byte, values [][]byte, documents []bool) []byte {
	row = append(row[:0], '(')
	for i, v := range values {
		if i > 0 {
			row = append(row, ',')
		}
		row = appendPlain(row, v, documents[i])
	}
	return append(row, ')')
}
