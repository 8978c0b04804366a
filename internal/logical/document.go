package logical

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Document gives a JSON document the one text that it has between engines, however one of
// them spells it: members in the order of their names, no spaces, the shortest numbers.
// False: there is an engine that does not keep it as it is. Every engine does when it has
// no key twice in an object, no NUL character, and no number that changes in a 64-bit
// integer or a double.
func Document(text string) (string, bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	out, ok := appendValue(nil, d, 0)
	if !ok {
		return "", false
	}
	if _, err := d.Token(); err != io.EOF {
		return "", false
	}
	return string(out), true
}

// deepest is how deep MySQL lets documents be.
const deepest = 100

// appendValue appends the next value that d reads.
func appendValue(out []byte, d *json.Decoder, depth int) ([]byte, bool) {
	token, err := d.Token()
	if err != nil || depth > deepest {
		return nil, false
	}
	switch t := token.(type) {
	case nil:
		return append(out, "null"...), true
	case bool:
		return strconv.AppendBool(out, t), true
	case json.Number:
		return appendNumber(out, string(t))
	case string:
		return appendString(out, t)
	case json.Delim:
		if t == '{' {
			return appendObject(out, d, depth)
		}
		out = append(out, '[')
		for i := 0; d.More(); i++ {
			if i > 0 {
				out = append(out, ',')
			}
			var ok bool
			if out, ok = appendValue(out, d, depth+1); !ok {
				return nil, false
			}
		}
		_, err := d.Token()
		return append(out, ']'), err == nil
	}
	return nil, false
}

func appendObject(out []byte, d *json.Decoder, depth int) ([]byte, bool) {
	members := map[string][]byte{}
	for d.More() {
		token, err := d.Token()
		key, ok := token.(string)
		if _, twice := members[key]; err != nil || !ok || twice {
			return nil, false
		}
		if members[key], ok = appendValue(nil, d, depth+1); !ok {
			return nil, false
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	out = append(out, '{')
	for i, key := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			out = append(out, ',')
		}
		var ok bool
		if out, ok = appendString(out, key); !ok {
			return nil, false
		}
		out = append(append(out, ':'), members[key]...)
	}
	return append(out, '}'), true
}

func appendString(out []byte, s string) ([]byte, bool) {
	if strings.Contains(s, "\x00") {
		return nil, false
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, false
	}
	return append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), true
}

// appendNumber tells 1 from 1.0, as the engines do.
func appendNumber(out []byte, text string) ([]byte, bool) {
	if !isNumber(text) {
		return nil, false
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return strconv.AppendInt(out, n, 10), true
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return strconv.AppendUint(out, n, 10), true
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, false
	}
	if v == 0 {
		return append(out, "0.0"...), true // PostgreSQL has no negative one
	}
	short := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(short, ".e") {
		short += ".0"
	}
	return append(out, short...), true
}

func isNumber(text string) bool {
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return true
	}
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		return true
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(v, 0) {
		return false
	}
	if len(text) > 40 {
		return false // the shortest text of a double is far shorter
	}
	if v == 0 { // no great power of ten to compute; what is not 0 became 0
		digits, _, _ := strings.Cut(strings.ToLower(text), "e")
		return strings.Trim(digits, "-0.") == ""
	}
	a, ok := new(big.Rat).SetString(text)
	b, fine := new(big.Rat).SetString(strconv.FormatFloat(v, 'g', -1, 64))
	return ok && fine && a.Cmp(b) == 0
}
