package mysql

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unicode/utf8"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/concord-db/concord/internal/change"
)

// relationUse tells what rows of a table mean to capture.
type relationUse uint8

const (
	useIgnored    relationUse = iota // not replicated from here
	useRows                          // a replicated table
	useCheckpoint                    // concord.checkpoint: the mark
	useHeartbeat                     // concord.heartbeat
)

// relation is a table as the log describes it before a set of rows.
type relation struct {
	name    string // schema.name
	use     relationUse
	table   *change.Table // nil unless useRows
	columns []string
	fields  []field
	target  []int // index in an image; -1: a generated column
	width   int   // of an image
	keyed   []bool
}

// column returns the index in an image of a column, or -1.
func (r *relation) column(name string) int {
	if i := slices.Index(r.columns, name); i >= 0 {
		return r.target[i]
	}
	return -1
}

// shaper makes relations. The log has names, signs, labels and character sets with each
// table (binlog_row_metadata = FULL), as they were when the rows were written. What
// columns are generated, which indexes are unique and how types are spelled comes from
// the catalogue as it is now, read again after anything that may have changed a table
// and when it does not fit what the log says.
type shaper struct {
	tables  func(string) bool // nil: all
	folded  bool              // the server's names of tables are in lower case
	log     *slog.Logger
	connect func(ctx context.Context) (*conn, error)
	// check judges a table that was read again.
	check      func(ctx context.Context, c *conn, known *catalog) error
	session    *conn // kept between questions; nil before the first
	known      *catalog
	collations map[uint64]collation     // by number
	stale      map[string]bool          // by name: to be read again before it is used
	last       map[string]*change.Table // the latest shape by name
	keys       map[string][]string      // the key as last used
	computed   map[string]bool          // columns by schema.table.name: whether the server computes them
}

// forget notes that any table may have changed.
func (s *shaper) forget() {
	for name := range s.known.tables {
		s.stale[name] = true
	}
}

// relation builds the relation of a table map. at is for messages.
func (s *shaper) relation(ctx context.Context, m *replication.TableMapEvent, at position) (*relation, error) {
	schema, name := string(m.Schema), string(m.Table)
	r := &relation{name: schema + "." + name}
	if schema == controlSchema {
		switch name {
		case "checkpoint":
			r.use = useCheckpoint
		case "heartbeat":
			r.use = useHeartbeat
		default:
			return r, nil
		}
	} else {
		if !s.replicated(schema, name) {
			return r, nil
		}
		r.use = useRows
	}
	n := int(m.ColumnCount)
	if len(m.ColumnName) != n {
		return nil, fmt.Errorf("%w: the log at %s does not say what the columns of %s are called: binlog_row_metadata was not FULL when it was written; SET PERSIST (MariaDB: GLOBAL, and in its configuration) binlog_row_metadata = FULL; what was written without it cannot be read: %s",
			change.ErrNeedsCopy, at.place(), r.name, newEpochRemedy)
	}
	var err error
	if r.fields, err = s.fields(m, r.name); err != nil {
		return nil, err
	}
	for _, c := range m.ColumnName {
		r.columns = append(r.columns, string(c))
	}
	r.target = make([]int, n)
	if r.use != useRows {
		r.width, r.keyed = n, make([]bool, n)
		for i := range r.target {
			r.target[i] = i
		}
		return r, nil
	}
	facts, err := s.facts(ctx, r, m)
	if err != nil {
		return nil, err
	}
	if facts != nil && facts.kind == sequenceTable {
		r.use = useIgnored
		return r, nil
	}
	return r, s.shape(r, m, facts)
}

// replicated reports whether the rows of a table are published from here.
func (s *shaper) replicated(schema, name string) bool {
	return !slices.Contains(systemSchemas, schema) && (s.tables == nil || s.tables(schema+"."+name))
}

// shape fills in what rows are made of.
func (s *shaper) shape(r *relation, m *replication.TableMapEvent, facts *tableFacts) error {
	t := &change.Table{Schema: string(m.Schema), Name: string(m.Table), Full: true}
	for i := range r.columns {
		var known *columnFacts
		if facts != nil {
			known = facts.column(r.columns[i])
		}
		if known != nil {
			s.computed[r.name+"."+r.columns[i]] = known.generated
		}
		if s.computed[r.name+"."+r.columns[i]] { // also of one that was dropped since
			r.target[i] = -1
			continue
		}
		f := &r.fields[i]
		col := describe(f, m.ColumnType[i])
		if known != nil && agrees(f, m.ColumnType[i], known) {
			col.Type, col.Identity = known.typeText, known.sequence
			if f.form != formText && f.form != formChar || known.types.kind == change.KindJSON {
				col.Kind = known.types.kind
			}
			f.take(known)
		}
		if col.Kind == change.KindFoldedText {
			col.Collation = comparing(f.collation)
		}
		col.Name = r.columns[i]
		r.target[i] = len(t.Columns)
		t.Columns = append(t.Columns, col)
	}
	r.width, r.keyed = len(t.Columns), make([]bool, len(t.Columns))
	key, err := s.key(r, m, facts)
	if err != nil {
		return err
	}
	for _, name := range key {
		if i := slices.IndexFunc(t.Columns, func(c change.Column) bool { return strings.EqualFold(c.Name, name) }); i >= 0 {
			r.keyed[i] = true
		}
	}
	for i, keyed := range r.keyed {
		if keyed {
			t.Key = append(t.Key, i)
		}
	}
	if facts != nil {
		t.Unique = facts.uniqueShapes(t)
	}
	r.table = t.Seal()
	s.last[r.name], s.keys[r.name] = r.table, key
	return nil
}

// key names the key columns of the table at this place in the log: the primary key,
// which the log has, or the index that the catalogue knows.
func (s *shaper) key(r *relation, m *replication.TableMapEvent, facts *tableFacts) ([]string, error) {
	var key []string
	for _, i := range m.PrimaryKey {
		if i < uint64(len(r.columns)) {
			key = append(key, r.columns[i])
		}
	}
	has := func(names []string) bool {
		return len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool {
			i := slices.IndexFunc(r.columns, func(c string) bool { return strings.EqualFold(c, n) })
			return i < 0 || r.target[i] < 0
		})
	}
	prefixed := slices.ContainsFunc(m.PrimaryKeyPrefix, func(n uint64) bool { return n > 0 })
	switch {
	case has(key) && !prefixed:
	case len(key) == 0 && facts != nil && has(facts.key):
		key = facts.key
	case len(key) == 0 && has(s.keys[r.name]): // the table has changed since this was logged
		key = s.keys[r.name]
	default:
		return nil, fmt.Errorf("reading the shape of %s: %w: it has no usable key; give it a primary key, or exclude the table in the configuration",
			r.name, change.ErrRefused)
	}
	if facts != nil {
		return key, refusal(facts.problems())
	}
	return key, nil
}

// facts returns what the catalogue has on the table; nil when it is no longer there.
func (s *shaper) facts(ctx context.Context, r *relation, m *replication.TableMapEvent) (*tableFacts, error) {
	if t := s.known.tables[r.name]; t != nil && !s.stale[r.name] && s.fits(t, r, m) {
		return t, nil
	}
	t, err := s.refresh(ctx, string(m.Schema), string(m.Table))
	if err != nil {
		return nil, fmt.Errorf("reading the shape of %s: %w", r.name, err)
	}
	return t, nil
}

// fits reports whether the catalogue as known describes the columns of the log.
func (s *shaper) fits(t *tableFacts, r *relation, m *replication.TableMapEvent) bool {
	for i, name := range r.columns {
		c := t.column(name)
		if c == nil || !c.generated && !agrees(&r.fields[i], m.ColumnType[i], c) {
			return false
		}
	}
	return true
}

// refresh reads a table's facts again; nil when it is no longer there.
func (s *shaper) refresh(ctx context.Context, schema, name string) (*tableFacts, error) {
	c, err := s.ask(ctx)
	if err != nil {
		return nil, err
	}
	t, err := loadTable(ctx, c, schema, name)
	if err != nil {
		return nil, err
	}
	qualified := schema + "." + name
	delete(s.stale, qualified)
	delete(s.known.tables, qualified)
	if t == nil {
		return nil, nil
	}
	if t.kind == sequenceTable {
		return t, nil
	}
	s.known.tables[qualified] = t
	return t, s.check(ctx, c, &catalog{flavor: s.known.flavor, tables: map[string]*tableFacts{qualified: t}})
}

// ask returns a session for questions about the catalogue.
func (s *shaper) ask(ctx context.Context) (*conn, error) {
	if s.session != nil {
		if _, err := s.session.exec(ctx, "DO 0"); err == nil {
			return s.session, nil
		}
		s.close()
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	s.session = c
	return c, nil
}

// close gives the session up.
func (s *shaper) close() {
	if s.session != nil {
		s.session.close()
		s.session = nil
	}
}

// emptied returns the shape of a table that a TRUNCATE names, the latest that is
// known; nil when the table is not replicated or nothing is known of it any more.
func (s *shaper) emptied(ctx context.Context, schema, name string) (*change.Table, error) {
	if !utf8.ValidString(schema + name) {
		return nil, fmt.Errorf("reading a TRUNCATE of the table %q: %w: the session that wrote it had another character set than UTF-8", schema+"."+name, errCharset)
	}
	if s.folded {
		schema, name = strings.ToLower(schema), strings.ToLower(name)
	}
	qualified := schema + "." + name
	if !s.replicated(schema, name) {
		return nil, nil
	}
	if t := s.last[qualified]; t != nil {
		return t, nil
	}
	facts := s.known.tables[qualified]
	if facts == nil || s.stale[qualified] {
		var err error
		if facts, err = s.refresh(ctx, schema, name); err != nil {
			return nil, fmt.Errorf("reading the shape of %s: %w", qualified, err)
		}
	}
	if facts == nil {
		s.log.Warn("a TRUNCATE of a table that no longer exists is left out", "table", qualified)
		return nil, nil
	}
	if err := refusal(facts.problems()); err != nil {
		return nil, err
	}
	return facts.shape(), nil
}

// fields makes the fields of a table map's columns.
func (s *shaper) fields(m *replication.TableMapEvent, table string) ([]field, error) {
	unsigned, collations, listed := m.UnsignedMap(), m.CollationMap(), m.EnumSetCollationMap()
	enums, sets := m.EnumStrValueMap(), m.SetStrValueMap()
	fields := make([]field, m.ColumnCount)
	for i := range fields {
		f := &fields[i]
		f.read(m.ColumnType[i], m.ColumnMeta[i])
		if f.dataType() == "" {
			return nil, fmt.Errorf("%w: column %s of %s has a type that cannot be read from the log (%d): a compressed column, or a moment in the format of old servers "+
				"(set mysql56_temporal_format = ON and ALTER TABLE %[3]s FORCE); change it, and %[5]s", change.ErrNeedsCopy, m.ColumnName[i], table, f.typ, newEpochRemedy)
		}
		f.unsigned = unsigned[i]
		switch {
		case f.typ == gomysql.MYSQL_TYPE_ENUM || f.typ == gomysql.MYSQL_TYPE_SET:
			f.charset = s.collations[listed[i]].charset
			for _, label := range append(slices.Clone(enums[i]), sets[i]...) {
				text, err := toUTF8(f.charset, label)
				if err != nil {
					return nil, fmt.Errorf("reading the labels of column %s of %s: %w", m.ColumnName[i], table, err)
				}
				f.labels = append(f.labels, text)
			}
		case f.isString():
			id, ok := collations[i]
			f.charset, f.collation = s.collations[id].charset, s.collations[id].name
			if !ok || id == binaryCollation {
				f.charset = "binary"
			}
			if f.charset != "binary" {
				f.form = formText
				if f.typ == gomysql.MYSQL_TYPE_STRING {
					f.form = formChar
				}
			} else if f.typ == gomysql.MYSQL_TYPE_STRING {
				f.form = formPad
			}
		}
	}
	return fields, nil
}
