package parking

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/change"
)

func TestAChangeSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &change.Table{Schema: "s", Name: "t", Columns: []change.Column{{Name: "k", Kind: change.KindInt}, {Name: "b", Kind: change.KindBytes}, {Name: "v", Kind: change.KindText, Identity: true}}, Key: []int{0}, Full: rapid.Bool().Draw(t, "full")}
		s.Seal()
		value := func(bytes bool) change.Value {
			switch rapid.IntRange(0, 2).Draw(t, "state") {
			case 0:
				return change.Value{}
			case 1:
				return change.NullValue()
			}
			if bytes {
				return change.TextValue(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
			}
			return change.TextValue(rapid.String().Draw(t, "text"))
		}
		image := func() []change.Value { return []change.Value{value(false), value(true), value(false)} }
		r := change.Row{Table: s, Op: change.Update, Old: image(), New: image()}
		text, err := json.Marshal(Of(&r))
		if err != nil {
			t.Fatal(err)
		}
		var p Change
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatal(err)
		}
		if back, err := p.Row(); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%+v came back as %+v, %v", r, back, err)
		}
	})
}

func FuzzChange(f *testing.F) {
	f.Add([]byte(`{"table":{"name":"t","columns":[{"name":"k"}],"key":[0]},"op":1,"new":["1"]}`))
	f.Add([]byte(`{"table":{"name":"t","columns":[{"name":"k"}],"key":[7]},"op":3,"old":[{"bytes":"zz"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Change
		if json.Unmarshal(data, &p) != nil {
			return
		}
		if r, err := p.Row(); err == nil {
			r.Key()
			r.MovesKey()
			r.Partial()
		}
	})
}
