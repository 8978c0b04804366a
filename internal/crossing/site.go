package crossing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

// Names translates between the names of the cluster and those of one site.
type Names interface {
	// Plain reports that they are the same.
	Plain() bool
	// Local returns what a table "schema.table" of the cluster is called here; false:
	// another one has that name. Cluster is the way back; false: no rule means it.
	Local(cluster string) (string, bool)
	Cluster(local string) (string, bool)
	LocalColumn(cluster, column string) string
	ClusterColumn(cluster, local string) string
}

// Site is a database as the cluster sees it: an Engine whose tables and columns have the
// cluster's names, and whose documents have one spelling when other engines read them.
type Site struct {
	engine.Engine
	names     Names
	documents bool
	refused   *refusals

	outward, inward shapes
}

// New returns the database as the cluster sees it. It connects nothing. mixed tells that
// there are sites of another engine.
func New(db engine.Engine, names Names, mixed bool) *Site {
	return &Site{Engine: db, names: names, documents: mixed, refused: &refusals{}}
}

// Open implements capture.Source.
func (s *Site) Open(ctx context.Context, from change.Position) (capture.Reader, error) {
	r, err := s.Engine.Open(ctx, from)
	if err != nil {
		return nil, err
	}
	return &reader{Reader: r, site: s}, nil
}

// reader gives rows of the log in the cluster's names.
type reader struct {
	capture.Reader
	site *Site
}

// Next implements capture.Reader.
func (r *reader) Next(ctx context.Context) (capture.Event, error) {
	e, err := r.Reader.Next(ctx)
	if err != nil {
		return e, err
	}
	for i := range e.Rows {
		row := &e.Rows[i]
		row.Table = r.site.toCluster(row.Table)
		r.site.spell(row.Table, row.Old)
		r.site.spell(row.Table, row.New)
	}
	return e, nil
}

// Schema implements Engine.
func (s *Site) Schema(ctx context.Context) ([]enginesite.Table, error) {
	tables, err := s.Engine.Schema(ctx)
	if err != nil {
		return nil, err
	}
	for i := range tables {
		s.describe(&tables[i])
	}
	return tables, nil
}

func (s *Site) describe(t *enginesite.Table) {
	name := s.clusterName(t.Name)
	column := func(c *string) { *c = s.names.ClusterColumn(name, *c) }
	t.Name = name
	for i := range t.Columns {
		column(&t.Columns[i].Name)
	}
	for i := range t.Key {
		column(&t.Key[i])
	}
	for i := range t.Sequences {
		column(&t.Sequences[i].Column)
	}
	for i := range t.ForeignKeys {
		f := &t.ForeignKeys[i]
		f.Child, f.Parent = s.clusterName(f.Child), s.clusterName(f.Parent)
		for j := range f.Columns {
			f.Columns[j] = s.names.ClusterColumn(f.Child, f.Columns[j])
		}
		for j := range f.ParentColumns {
			f.ParentColumns[j] = s.names.ClusterColumn(f.Parent, f.ParentColumns[j])
		}
	}
}

// clusterName is what the cluster calls a local table; one that it does not know keeps
// its name.
func (s *Site) clusterName(local string) string {
	if name, ok := s.names.Cluster(local); ok {
		return name
	}
	return local
}

// Parked implements apply.Target.
func (s *Site) Parked(ctx context.Context) ([]apply.Parked, error) {
	all, err := s.Engine.Parked(ctx)
	for i := range all {
		all[i].Row.Table = s.toCluster(all[i].Row.Table)
	}
	return all, err
}

// ParkedByID implements Engine.
func (s *Site) ParkedByID(ctx context.Context, id int64) (apply.Parked, error) {
	p, err := s.Engine.ParkedByID(ctx, id)
	if err == nil {
		p.Row.Table = s.toCluster(p.Row.Table)
	}
	return p, err
}

// ApplyParked implements Engine. A value without counterpart cannot be written.
func (s *Site) ApplyParked(ctx context.Context, id int64) error {
	p, err := s.ParkedByID(ctx, id)
	if err != nil {
		return err
	}
	if err := misfit(&p.Row); err != nil {
		return fmt.Errorf("%w: %w; write the row as it shall be, and discard the change", change.ErrRefused, err)
	}
	return s.Engine.ApplyParked(ctx, id)
}

// Republish implements apply.RowTarget.
func (s *Site) Republish(ctx context.Context, table *change.Table, key []change.Value, parked []apply.Parked) (bool, error) {
	local, err := s.toLocal(table)
	if err != nil {
		return false, err
	}
	there, err := s.Engine.Republish(ctx, local, key, parked)
	return there, s.outwardError(err)
}

// UnparkVacant implements apply.RowTarget.
func (s *Site) UnparkVacant(ctx context.Context, table *change.Table, key []change.Value, parked []apply.Parked) (bool, error) {
	local, err := s.toLocal(table)
	if err != nil {
		return false, err
	}
	vacant, err := s.Engine.UnparkVacant(ctx, local, key, parked)
	return vacant, s.outwardError(err)
}

// Begin implements apply.Target.
func (s *Site) Begin(ctx context.Context, c apply.Checkpoint) (apply.Tx, error) {
	inner, err := s.Engine.Begin(ctx, c)
	if err != nil {
		return nil, err
	}
	t, ok := inner.(wholeTx)
	if !ok {
		inner.Rollback(context.WithoutCancel(ctx))
		return nil, errors.New("beginning a transaction: the engine lacks a part that every engine has")
	}
	return &tx{wholeTx: t, site: s}, nil
}

// outwardError gives a SchemaError the cluster's names.
func (s *Site) outwardError(err error) error {
	var e *apply.SchemaError
	if !errors.As(err, &e) {
		return err
	}
	name := s.clusterName(e.Table)
	out := &apply.SchemaError{Table: name, Detail: e.Detail}
	if e.Column != "" {
		out.Column = s.names.ClusterColumn(name, e.Column)
	}
	for _, c := range e.Missing {
		out.Missing = append(out.Missing, s.names.ClusterColumn(name, c))
	}
	return out
}

// cut splits schema.table.
func cut(name string) (schema, table string) {
	schema, table, _ = strings.Cut(name, ".")
	return schema, table
}
