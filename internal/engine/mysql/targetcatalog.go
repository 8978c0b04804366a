package mysql

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// localTable is a table of this server as writing it needs to know. It is immutable but
// for the statements built for it.
type localTable struct {
	*tableFacts
	force string // the hint to find rows by the replication key's index and no other way

	mu     sync.Mutex
	plans  map[planKey]*plan
	read   time.Time       // when it was read last
	shapes map[uint64]bool // that were compared with it since
}

// doubted reports whether the table should be read again before a shape is written: it
// may have been altered, here as at the origin.
func (t *localTable) doubted(shape *change.Table) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.shapes[shape.ID] || time.Since(t.read) > rereadAfter
}

// confirm notes that the table is as it was, or has just been read.
func (t *localTable) confirm(shape *change.Table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shapes == nil || len(t.shapes) > maxPlans {
		t.shapes = map[uint64]bool{}
	}
	t.read, t.shapes[shape.ID] = time.Now(), true
}

func (t *localTable) sql() string { return quote(t.schema, t.name) }

// hasKey reports whether there is a unique index on exactly the named columns.
func (t *localTable) hasKey(columns []string) bool {
	same := func(index []string) bool {
		return len(index) == len(columns) && !slices.ContainsFunc(columns, func(c string) bool {
			return !slices.ContainsFunc(index, func(i string) bool { return strings.EqualFold(i, c) })
		})
	}
	if same(t.key) && !t.prefix {
		return true
	}
	return slices.ContainsFunc(t.unique, func(u uniqueFacts) bool { return u.unread == "" && same(u.columns) })
}

// onlyKey reports whether the named columns are those of the only unique index: then a
// row that is there is there by its key and by nothing else.
func (t *localTable) onlyKey(columns []string) bool { return len(t.unique) == 0 && t.hasKey(columns) }

// localTables remembers the tables of this server. A table is read again when a change
// does not fit it, so it comes right by itself after ALTER TABLE. And now and again, since
// not every alteration leads to an error: a key that is a text now would be compared with
// a number.
type localTables struct {
	mu     sync.Mutex
	byName map[string]*localTable // by schema.name; missing tables are not remembered
}

// rereadAfter is how long what is known of a table is not doubted.
const rereadAfter = 20 * time.Second

func (c *localTables) get(name string) *localTable {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byName[name]
}

func (c *localTables) put(name string, t *localTable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = map[string]*localTable{}
	}
	if t == nil {
		delete(c.byName, name)
	} else {
		c.byName[name] = t
	}
}

// table returns the local table for a shape, fit for writing the columns: all of the
// key and those included. *apply.SchemaError when it is not, judged by the catalogue
// as it is now.
func (db *DB) table(ctx context.Context, shape *change.Table, included []int) (*localTable, error) {
	if t := db.target.tables.get(shape.QualifiedName()); t != nil && !t.doubted(shape) && misfit(t, shape, included) == nil {
		return t, nil
	}
	t, err := db.reload(ctx, shape.Schema, shape.Name)
	if err != nil {
		return nil, err
	}
	if err := misfit(t, shape, included); err != nil {
		return nil, err
	}
	t.confirm(shape)
	return t, nil
}

// misfit explains why a shape cannot be written to t; nil when it can.
func misfit(t *localTable, shape *change.Table, included []int) error {
	name := shape.QualifiedName()
	if t == nil {
		return &apply.SchemaError{Table: name, Detail: "does not exist here, or is not a table; create it as it is at the origin"}
	}
	e := apply.SchemaError{Table: name}
	var add []string
	for _, i := range included {
		if c := &shape.Columns[i]; t.column(c.Name) == nil {
			e.Missing = append(e.Missing, c.Name)
			add = append(add, fmt.Sprintf("ADD COLUMN %s %s", quote(c.Name), c.Type))
		}
	}
	if len(e.Missing) > 0 {
		e.Column = e.Missing[0]
		e.Detail = fmt.Sprintf("does not exist here; ALTER TABLE %s %s", quote(shape.Schema, shape.Name), strings.Join(add, ", "))
		return &e
	}
	if e.Detail = t.comparesOtherwise(shape); e.Detail != "" {
		return &e
	}
	key := keyNames(shape)
	if !t.hasKey(key) {
		quoted := make([]string, len(key))
		for i, k := range key {
			quoted[i] = quote(k)
		}
		e.Detail = fmt.Sprintf("has no unique index here on its replication key (%[1]s); ALTER TABLE %[2]s ADD UNIQUE (%[1]s)",
			strings.Join(quoted, ", "), quote(shape.Schema, shape.Name))
		return &e
	}
	return nil
}

func keyNames(shape *change.Table) []string {
	names := make([]string, len(shape.Key))
	for i, k := range shape.Key {
		names[i] = shape.Columns[k].Name
	}
	return names
}

// readable is the local table of a shape when it has at least its key. A table that
// lacks something is looked up again: it may have it by now.
func (db *DB) readable(ctx context.Context, shape *change.Table) (*localTable, error) {
	all := make([]int, len(shape.Columns))
	for i := range all {
		all[i] = i
	}
	t, err := db.table(ctx, shape, all)
	var schema *apply.SchemaError
	if errors.As(err, &schema) && len(schema.Missing) > 0 {
		t = db.target.tables.get(shape.QualifiedName())
		err = misfit(t, shape, shape.Key)
	}
	return t, err
}

// reload reads a table from the catalogue; nil when there is no such table. A reading
// that agrees with the last one keeps it, and the statements built for it.
func (db *DB) reload(ctx context.Context, schema, name string) (*localTable, error) {
	qualified := schema + "." + name
	var facts *tableFacts
	err := db.ask(ctx, "reading the catalogue of table "+qualified, func(c *conn) (err error) {
		facts, err = loadTable(ctx, c, schema, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	have := db.target.tables.get(qualified)
	switch {
	case facts == nil:
		db.target.tables.put(qualified, nil)
		return nil, nil
	case have != nil && reflect.DeepEqual(have.tableFacts, facts):
		return have, nil
	}
	t := &localTable{tableFacts: facts, plans: map[planKey]*plan{}}
	if facts.keyName != "" {
		t.force = " FORCE INDEX (" + quote(facts.keyName) + ")"
	}
	db.target.tables.put(qualified, t)
	return t, nil
}

// failed looks at an error of a statement on table t. When the table has changed
// since it was read, the error is what the table now lacks, or transient.
func (tx *targetTx) failed(ctx context.Context, shape *change.Table, included []int, t *localTable, err error) error {
	if err == nil || !staleSchema(err) && !errors.Is(err, errValue) && !errors.Is(err, errStale) {
		return err
	}
	now, rerr := tx.db.reload(ctx, shape.Schema, shape.Name)
	if rerr != nil {
		return rerr
	}
	if schema := misfit(now, shape, included); schema != nil {
		return schema
	}
	if now != t {
		return &targetError{class: apply.ErrTransient, doing: "table " + shape.QualifiedName() + " was altered", cause: err}
	}
	return err
}
