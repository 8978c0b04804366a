package change

import "testing"

func shape(change func(*Table)) *Table {
	t := &Table{Schema: "public", Name: "t", Columns: []Column{{Name: "id", Type: "integer", Kind: KindInt}, {Name: "v", Type: "text", Kind: KindText}}, Key: []int{0}}
	if change != nil {
		change(t)
	}
	return t.Seal()
}

func TestTheFingerprintSeesEveryDifference(t *testing.T) {
	same := shape(nil)
	if shape(nil).ID != same.ID {
		t.Error("equal shapes have different fingerprints")
	}
	for name, f := range map[string]func(*Table){
		"schema":        func(t *Table) { t.Schema = "other" },
		"name":          func(t *Table) { t.Name = "u" },
		"border":        func(t *Table) { t.Schema, t.Name = "publi", "ct" },
		"column name":   func(t *Table) { t.Columns[1].Name = "w" },
		"column type":   func(t *Table) { t.Columns[1].Type = "varchar" },
		"column kind":   func(t *Table) { t.Columns[1].Kind = KindJSON },
		"collation":     func(t *Table) { t.Columns[1].Collation = "general_ci" },
		"identity":      func(t *Table) { t.Columns[0].Identity = true },
		"column order":  func(t *Table) { t.Columns[0], t.Columns[1] = t.Columns[1], t.Columns[0] },
		"column gone":   func(t *Table) { t.Columns = t.Columns[:1] },
		"key":           func(t *Table) { t.Key = []int{0, 1} },
		"full identity": func(t *Table) { t.Full = true },
	} {
		if shape(f).ID == same.ID {
			t.Errorf("another %s gives the same fingerprint", name)
		}
	}
}
