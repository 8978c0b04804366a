package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

// relationUse tells what rows of a relation mean to capture.
type relationUse uint8

const (
	useIgnored    relationUse = iota // not replicated from here
	useRows                          // a replicated table
	useCheckpoint                    // concord.checkpoint: the mark
	useHeartbeat                     // concord.heartbeat
)

// relation is a table of the log as its latest Relation message described it.
type relation struct {
	name    string // schema.name
	use     relationUse
	table   *change.Table // nil unless useRows
	columns []string
	forms   []form
	keyed   []bool
}

// column returns the index of a column, or -1.
func (r *relation) column(name string) int { return slices.Index(r.columns, name) }

// shaper makes relations of Relation messages. The messages give names, types and
// replica identity as of their place in the log; kinds of types, the key of a table
// with REPLICA IDENTITY FULL and what sequences belong to come from the catalogue as
// it is now, read again when a message does not fit what is known.
type shaper struct {
	tables  func(string) bool // nil: all
	log     *slog.Logger      // nil: silent
	connect func(ctx context.Context) (*pgx.Conn, error)
	known   *catalog
	before  map[uint32][]string // key columns by relation, as last used
}

// relation builds the relation of a message.
func (s *shaper) relation(ctx context.Context, m *relationMessage) (*relation, error) {
	r := &relation{name: m.schema + "." + m.name}
	for _, c := range m.columns {
		r.columns = append(r.columns, c.name)
	}
	r.forms = make([]form, len(m.columns))
	r.keyed = make([]bool, len(m.columns))
	if m.schema == controlSchema {
		switch m.name {
		case "checkpoint":
			r.use = useCheckpoint
		case "heartbeat":
			r.use = useHeartbeat
		}
		return r, nil
	}
	if s.tables != nil && !s.tables(r.name) {
		// Renamed, or excluded since this was logged.
		if s.log != nil {
			s.log.Warn("rows of a published table are left out: the configuration does not replicate it", "table", r.name)
		}
		return r, nil
	}
	r.use = useRows
	facts := s.known.tables[m.id]
	if s.before[m.id] != nil || !s.fits(facts, m) { // told of again: an index may be new, too
		if err := s.refresh(ctx, m); err != nil {
			return nil, err
		}
		facts = s.known.tables[m.id]
	}
	t := &change.Table{Schema: m.schema, Name: m.name, Full: m.identity == 'f'}
	for i, c := range m.columns {
		kind := s.known.types[c.typ].kind
		col := change.Column{Name: c.name, Kind: kind, Type: fmt.Sprintf("type %d", c.typ)}
		if facts != nil {
			if f := facts.column(c.name); f != nil && f.typeOID == c.typ && f.typmod == c.typmod {
				col.Type, col.Identity = f.typeText, f.sequence
			}
		}
		if text := s.text(c); text != "" {
			col.Type = text
		}
		t.Columns = append(t.Columns, col)
		r.forms[i] = formOf(kind)
	}
	key, err := s.key(m, facts)
	if err != nil {
		return nil, err
	}
	for i := range m.columns {
		if slices.Contains(key, m.columns[i].name) {
			t.Key = append(t.Key, i)
			r.keyed[i] = true
		}
	}
	s.before[m.id] = key
	if facts != nil {
		t.Unique = facts.uniqueShapes(t)
	}
	r.table = t.Seal()
	return r, nil
}

// text finds the name of a column's type in any known table with the same type.
func (s *shaper) text(c relationColumn) string {
	for _, t := range s.known.tables {
		for i := range t.columns {
			if t.columns[i].typeOID == c.typ && t.columns[i].typmod == c.typmod {
				return t.columns[i].typeText
			}
		}
	}
	return ""
}

// fits reports whether the catalogue as known describes the message.
func (s *shaper) fits(t *tableFacts, m *relationMessage) bool {
	if t == nil || t.schema != m.schema || t.name != m.name || t.identity != m.identity {
		return false
	}
	for _, c := range m.columns {
		f := t.column(c.name)
		if f == nil || f.typeOID != c.typ || f.typmod != c.typmod {
			return false
		}
		if _, ok := s.known.types[c.typ]; !ok {
			return false
		}
	}
	return true
}

// refresh reads the table and the types of the message again.
func (s *shaper) refresh(ctx context.Context, m *relationMessage) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("reading the shape of %s.%s: %w", m.schema, m.name, err)
	}
	defer closeConn(ctx, conn)
	types := make([]uint32, len(m.columns))
	for i, c := range m.columns {
		types[i] = c.typ
	}
	now, err := loadTable(ctx, conn, m.id, types)
	if err != nil {
		return fmt.Errorf("reading the shape of %s.%s: %w", m.schema, m.name, err)
	}
	for oid, f := range now.types {
		s.known.types[oid] = f
	}
	delete(s.known.tables, m.id)
	if t := now.tables[m.id]; t != nil {
		s.known.tables[m.id] = t
	}
	return nil
}

// key names the key columns of the table at this place in the log.
func (s *shaper) key(m *relationMessage, facts *tableFacts) ([]string, error) {
	var key []string
	if m.identity != 'f' {
		for _, c := range m.columns {
			if c.key {
				key = append(key, c.name)
			}
		}
	} else {
		has := func(names []string) bool {
			return len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool {
				return !slices.ContainsFunc(m.columns, func(c relationColumn) bool { return c.name == n })
			})
		}
		switch {
		case facts != nil && has(facts.key):
			key = facts.key
		case has(s.before[m.id]): // the table has changed since this was logged
			key = s.before[m.id]
		}
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("reading the shape of %s.%s: %w: it has no usable key; give it a primary key, or exclude the table and run concord init",
			m.schema, m.name, change.ErrRefused)
	}
	if facts == nil {
		return key, nil
	}
	return key, refusal(s.known.problems(&tableFacts{
		schema: m.schema, name: m.name, relkind: 'r', persistence: 'p', identity: m.identity, key: key, columns: facts.columns,
	}))
}
