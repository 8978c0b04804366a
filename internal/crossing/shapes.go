package crossing

import (
	"fmt"
	"slices"
	"sync"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/logical"
)

// shapes remembers the counterparts of shapes by their fingerprints.
type shapes struct{ byID sync.Map }

func (s *shapes) of(t *change.Table, translate func() *change.Table) *change.Table {
	if known, ok := s.byID.Load(t.ID); ok {
		return known.(*change.Table)
	}
	known, _ := s.byID.LoadOrStore(t.ID, translate())
	return known.(*change.Table)
}

// toCluster returns the shape of a local table with the cluster's names.
func (s *Site) toCluster(t *change.Table) *change.Table {
	if s.names.Plain() {
		return t
	}
	return s.outward.of(t, func() *change.Table {
		name := s.clusterName(t.QualifiedName())
		return rename(t, name, func(c string) string { return s.names.ClusterColumn(name, c) })
	})
}

// toLocal returns the shape with the names that it has here, or an apply.SchemaError.
func (s *Site) toLocal(t *change.Table) (*change.Table, error) {
	if e := s.refused.of(t); e != nil {
		return nil, e
	}
	if s.names.Plain() {
		return t, nil
	}
	name := t.QualifiedName()
	local, ok := s.names.Local(name)
	if !ok {
		return nil, &apply.SchemaError{Table: name, Detail: fmt.Sprintf(
			"another table of the cluster is called %s here; give one of them another name with names = { … } in its [[table]], or exclude it", local)}
	}
	return s.inward.of(t, func() *change.Table {
		return rename(t, local, func(c string) string { return s.names.LocalColumn(name, c) })
	}), nil
}

// rename returns t under another name with other names of columns; t itself when nothing
// changes.
func rename(t *change.Table, name string, column func(string) string) *change.Table {
	schema, table := cut(name)
	out := *t
	out.Schema, out.Name, out.Columns = schema, table, slices.Clone(t.Columns)
	same := name == t.QualifiedName()
	for i := range out.Columns {
		out.Columns[i].Name = column(t.Columns[i].Name)
		same = same && out.Columns[i].Name == t.Columns[i].Name
	}
	if same {
		return t
	}
	return out.Seal()
}

// spell brings documents into the one spelling that they have between engines, in place.
// One that some engine would not keep stays as it is, and is a misfit there.
func (s *Site) spell(t *change.Table, image []change.Value) {
	if !s.documents {
		return
	}
	for i := range image {
		if k := t.Columns[i].Kind; k != change.KindJSON && k != change.KindJSONB || image[i].State != change.Present {
			continue
		}
		if text, ok := logical.Document(image[i].Text); ok {
			image[i].Text = text
		}
	}
}

// misfit returns why a row cannot be written: a value of it has no counterpart here. An
// apply.ErrRejected.
func misfit(r *change.Row) error {
	for _, image := range [][]change.Value{r.Old, r.New} {
		for i := range image {
			if why, ok := logical.MisfitOf(image[i].Text); ok {
				return fmt.Errorf("%w: column %s of table %s: %s", apply.ErrRejected, r.Table.Columns[i].Name, r.Table.QualifiedName(), why)
			}
		}
	}
	return nil
}
