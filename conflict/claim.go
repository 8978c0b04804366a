package conflict

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/concord-db/concord/internal/change"
)

// Claim names one value of one unique key of one table: a 128-bit hash over the
// table's name, what the key is made of, and the canonical form of the value. Sites
// whose keys are alike give the same claim for the same value, whatever the names of
// their indexes.
type Claim struct{ Hi, Lo uint64 }

// Claims returns what a row takes of the unique keys of t: nothing for a key of which
// the image lacks a value, which holds NULL, or whose conditions the row does not
// fulfil. The index of the key in t.Unique stands beside each.
func Claims(t *change.Table, image []change.Value) []Claimed {
	if len(t.Unique) == 0 || image == nil {
		return nil
	}
	var claims []Claimed
	var buf []byte
	for i := range t.Unique {
		var ok bool
		if buf, ok = appendClaim(buf[:0], t, &t.Unique[i], image); ok {
			h := xxh3.Hash128(buf)
			claims = append(claims, Claimed{Claim: Claim{h.Hi, h.Lo}, Unique: i})
		}
	}
	return claims
}

// Claimed is a claim and the unique key of the shape that it is of.
type Claimed struct {
	Claim  Claim
	Unique int
}

// appendClaim appends what is hashed; false: the row takes no value of u.
func appendClaim(buf []byte, t *change.Table, u *change.UniqueKey, image []change.Value) ([]byte, bool) {
	for i := range u.Where {
		if !fulfils(t, &u.Where[i], image) {
			return buf, false
		}
	}
	field := func(b []byte, text string) []byte {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
		return append(b, text...)
	}
	buf = field(buf, t.Schema)
	buf = field(buf, t.Name)
	for _, p := range inNameOrder(t, u.Parts) {
		v := image[p.Column]
		text := ""
		switch v.State {
		case change.Unchanged:
			return buf, false
		case change.Null:
			if !u.NullsEqual {
				return buf, false
			}
		case change.Present:
			var ok bool
			if text, ok = cased(v.Text, p.Case); !ok {
				return buf, false
			}
		}
		buf = field(buf, t.Columns[p.Column].Name)
		buf = append(buf, byte(p.Case), byte(v.State))
		at := len(buf)
		buf = append(buf, 0, 0, 0, 0)
		buf = appendCanonical(buf, &t.Columns[p.Column], text)
		binary.LittleEndian.PutUint32(buf[at:], uint32(len(buf)-at-4))
	}
	for i := range u.Where {
		c := &u.Where[i]
		buf = field(buf, t.Columns[c.Column].Name)
		buf = append(buf, byte(c.Test))
		for _, v := range c.Values {
			buf = field(buf, v)
		}
	}
	return buf, true
}

// inNameOrder: (a, b) at one site and (b, a) at another are the same key.
func inNameOrder(t *change.Table, parts []change.UniquePart) []change.UniquePart {
	byName := func(a, b change.UniquePart) int {
		return strings.Compare(t.Columns[a.Column].Name, t.Columns[b.Column].Name)
	}
	if slices.IsSortedFunc(parts, byName) {
		return parts
	}
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, byName)
	return parts
}

// cased brings a text to lower or upper case as every database does it: beyond ASCII
// that is a matter of its locale, and no claim is better than a wrong one.
func cased(s string, c change.Case) (string, bool) {
	if c == change.AsItIs {
		return s, true
	}
	for i := range len(s) {
		if s[i] >= 0x80 {
			return s, false
		}
	}
	if c == change.Lower {
		return strings.ToLower(s), true
	}
	return strings.ToUpper(s), true
}

func fulfils(t *change.Table, c *change.Condition, image []change.Value) bool {
	v := image[c.Column]
	switch c.Test {
	case change.IsNull:
		return v.State == change.Null
	case change.NotNull:
		return v.State == change.Present
	}
	if v.State != change.Present {
		return false
	}
	column := &t.Columns[c.Column]
	own := appendCanonical(nil, column, v.Text)
	among := slices.ContainsFunc(c.Values, func(o string) bool {
		return string(appendCanonical(nil, column, o)) == string(own)
	})
	return among == (c.Test == change.In)
}
