// Package parking is how a parked change stands in concord.parked, the same in every engine.
package parking

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

// Change is a row change in JSON, exact, so that it can be carried
// out years later: the shape it was logged with and its images.
type Change struct {
	Table Table     `json:"table"`
	Op    change.Op `json:"op"`
	Old   []Value   `json:"old"`
	New   []Value   `json:"new"`
}

// Table is the shape that a change was logged with.
type Table struct {
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
	Key     []int    `json:"key"`
	Full    bool     `json:"full,omitempty"`
}

// Column is a column of a Table.
type Column struct {
	Name      string      `json:"name"`
	Type      string      `json:"type"`
	Kind      change.Kind `json:"kind"`
	Identity  bool        `json:"identity,omitempty"`
	Collation string      `json:"collation,omitempty"`
}

// Value is a value in JSON: its text, null, {"bytes": hex} where the value is
// bytes, or {} when it is unchanged.
type Value struct {
	change.Value
	bytes bool
}

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	switch {
	case v.State == change.Null:
		return []byte("null"), nil
	case v.State == change.Unchanged:
		return []byte("{}"), nil
	case v.bytes:
		return json.Marshal(map[string]string{"bytes": hex.EncodeToString([]byte(v.Text))})
	}
	return json.Marshal(v.Text)
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(data []byte) error {
	*v = Value{}
	switch {
	case len(data) > 0 && data[0] == '"':
		v.State = change.Present
		return json.Unmarshal(data, &v.Text)
	case string(data) == "null":
		v.State = change.Null
		return nil
	}
	var object struct {
		Bytes *string `json:"bytes"`
	}
	if err := json.Unmarshal(data, &object); err != nil || object.Bytes == nil {
		return err
	}
	raw, err := hex.DecodeString(*object.Bytes)
	v.Value, v.bytes = change.TextValue(string(raw)), true
	return err
}

// Of is the change as it is kept.
func Of(r *change.Row) Change {
	t := r.Table
	p := Change{Table: Table{Schema: t.Schema, Name: t.Name, Key: t.Key, Full: t.Full}, Op: r.Op}
	for _, c := range t.Columns {
		p.Table.Columns = append(p.Table.Columns, Column(c))
	}
	values := func(image []change.Value) []Value {
		if image == nil {
			return nil
		}
		out := make([]Value, len(image))
		for i, v := range image {
			out[i] = Value{v, t.Columns[i].Kind == change.KindBytes}
		}
		return out
	}
	p.Old, p.New = values(r.Old), values(r.New)
	return p
}

// ErrMalformed is what a person with an editor can make of a parked change.
var ErrMalformed = errors.New("malformed parked change")

// Row is the change again; ErrMalformed when there is none in it. It checks what a person with an editor could have broken.
func (p *Change) Row() (change.Row, error) {
	t := &change.Table{Schema: p.Table.Schema, Name: p.Table.Name, Key: p.Table.Key, Full: p.Table.Full}
	for _, c := range p.Table.Columns {
		t.Columns = append(t.Columns, change.Column(c))
	}
	r := change.Row{Table: t.Seal(), Op: p.Op}
	if len(t.Key) == 0 || t.Name == "" {
		return r, fmt.Errorf("%w: it names no table or no key", ErrMalformed)
	}
	for _, k := range t.Key {
		if k < 0 || k >= len(t.Columns) {
			return r, fmt.Errorf("%w: key column %d of %d", ErrMalformed, k, len(t.Columns))
		}
	}
	values := func(image []Value) ([]change.Value, error) {
		if image == nil {
			return nil, nil
		}
		if len(image) != len(t.Columns) {
			return nil, fmt.Errorf("%w: %d values for %d columns", ErrMalformed, len(image), len(t.Columns))
		}
		out := make([]change.Value, len(image))
		for i, v := range image {
			out[i] = v.Value
		}
		return out, nil
	}
	var err error
	if r.Old, err = values(p.Old); err != nil {
		return r, err
	}
	if r.New, err = values(p.New); err != nil {
		return r, err
	}
	needOld, needNew := r.Op == change.Delete, r.Op == change.Insert || r.Op == change.Update
	if r.Op < change.Insert || r.Op > change.Truncate || needOld && r.Old == nil || needNew && r.New == nil {
		return r, fmt.Errorf("%w: operation %d without its row", ErrMalformed, r.Op)
	}
	return r, nil
}
