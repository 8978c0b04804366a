package logical

import (
	"encoding/json"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// isDocument reports whether every engine keeps the document as it is: no key twice in an
// object, no NUL character, no number that changes in a 64-bit integer or a double.
func isDocument(text string) bool {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if !value(d, 0) {
		return false
	}
	_, err := d.Token()
	return err == io.EOF
}

// deepest is how deep MySQL lets documents be.
const deepest = 100

func value(d *json.Decoder, depth int) bool {
	token, err := d.Token()
	if err != nil || depth > deepest {
		return false
	}
	switch t := token.(type) {
	case json.Number:
		return isNumber(string(t))
	case string:
		return !strings.Contains(t, "\x00")
	case json.Delim:
		keys := map[string]bool{}
		for d.More() {
			if t == '{' {
				token, err := d.Token()
				key, ok := token.(string)
				if err != nil || !ok || keys[key] || strings.Contains(key, "\x00") {
					return false
				}
				keys[key] = true
			}
			if !value(d, depth+1) {
				return false
			}
		}
		_, err := d.Token()
		return err == nil
	}
	return true
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
