package mysql

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// columnFacts is a column as the catalogue has it now.
type columnFacts struct {
	name      string
	dataType  string // int, varchar, … in lower case
	typeText  string // with modifiers: "int unsigned", "enum('a','b')"
	charset   string // of a text, an enum or a set; else empty
	collation string
	notNull   bool
	sequence  bool // AUTO_INCREMENT
	generated bool // computed by the server
	types     typeFacts
}

// comparing names how texts of the column compare, where that is not by their bytes.
func (c *columnFacts) comparing() string {
	if c.types.kind != change.KindFoldedText {
		return ""
	}
	return comparing(c.collation)
}

func (c *columnFacts) unsigned() bool { return strings.Contains(c.typeText, "unsigned") }

// tableFacts is a table as the catalogue has it now.
type tableFacts struct {
	schema  string
	name    string
	engine  string
	kind    string // BASE TABLE, SYSTEM VERSIONED, SEQUENCE
	columns []columnFacts
	key     []string // columns of the replication key; empty when there is none
	keyName string   // of its index
	prefix  bool     // a part of the primary key is only the beginning of a column
	unique  []uniqueFacts
}

// uniqueFacts is a unique index of a table besides its replication key.
type uniqueFacts struct {
	name    string
	columns []string
	// unread says why the values of the index cannot be told from a row's image: then
	// what two sites give to two rows is found by the database only, and parked.
	unread string
}

func (t *tableFacts) qualified() string { return t.schema + "." + t.name }

func (t *tableFacts) column(name string) *columnFacts {
	for i := range t.columns {
		if strings.EqualFold(t.columns[i].name, name) { // as the server compares them
			return &t.columns[i]
		}
	}
	return nil
}

// catalog is a snapshot of the tables of a server, by schema.name.
type catalog struct {
	flavor flavor
	tables map[string]*tableFacts
}

// loadCatalog reads the application tables that want says yes to, by name; nil means
// all. Tables that cannot be replicated are in it too: see problems.
func loadCatalog(ctx context.Context, c *conn, want func(string) bool) (*catalog, error) {
	quoted := make([]string, len(systemSchemas))
	for i, s := range systemSchemas {
		quoted[i] = literal(s)
	}
	found, err := readCatalog(ctx, c, "t.table_schema NOT IN ("+strings.Join(quoted, ", ")+")", want)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(found.tables, func(_ string, t *tableFacts) bool { return t.kind == sequenceTable })
	return found, nil
}

// sequenceTable is the kind of MariaDB's sequences, whose numbers are logged as rows.
const sequenceTable = "SEQUENCE"

// loadTable reads one table, or a sequence; nil when it does not exist.
func loadTable(ctx context.Context, c *conn, schema, name string) (*tableFacts, error) {
	found, err := readCatalog(ctx, c, "t.table_schema = "+literal(schema)+" AND t.table_name = "+literal(name), nil)
	if err != nil {
		return nil, err
	}
	for _, t := range found.tables {
		return t, nil
	}
	return nil, nil
}

func readCatalog(ctx context.Context, c *conn, where string, want func(string) bool) (*catalog, error) {
	found := &catalog{flavor: c.flavor, tables: map[string]*tableFacts{}}
	err := c.rows(ctx, `SELECT t.table_schema, t.table_name, coalesce(t.engine, ''), t.table_type FROM information_schema.tables t
		WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') AND `+where, func(r []string) {
		t := &tableFacts{schema: r[0], name: r[1], engine: r[2], kind: r[3]}
		if want == nil || want(t.qualified()) {
			found.tables[t.qualified()] = t
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue of tables: %w", err)
	}
	json := map[string]bool{}
	if c.flavor == mariaDB {
		// JSON is a text with a check that MariaDB adds.
		err := c.rows(ctx, `SELECT t.constraint_schema, t.table_name, t.check_clause FROM information_schema.check_constraints t
			WHERE lower(t.check_clause) LIKE 'json_valid(%' AND `+strings.ReplaceAll(where, "t.table_schema", "t.constraint_schema"), func(r []string) {
			clause := strings.Trim(strings.TrimSuffix(r[2][len("json_valid("):], ")"), "`")
			json[r[0]+"."+r[1]+"."+strings.ToLower(clause)] = true
		})
		if err != nil {
			return nil, fmt.Errorf("reading the catalogue of checks: %w", err)
		}
	}
	err = c.rows(ctx, `SELECT t.table_schema, t.table_name, t.column_name, t.data_type, t.column_type, t.is_nullable, coalesce(t.character_set_name, ''),
		coalesce(t.collation_name, ''), t.extra FROM information_schema.columns t
		WHERE `+where+` ORDER BY t.table_schema, t.table_name, t.ordinal_position`, func(r []string) {
		t := found.tables[r[0]+"."+r[1]]
		if t == nil {
			return
		}
		col := columnFacts{name: r[2], dataType: strings.ToLower(r[3]), typeText: spelled(r[4]), notNull: r[5] == "NO", charset: r[6], collation: r[7]}
		extra := strings.ToLower(r[8])
		col.sequence = strings.Contains(extra, "auto_increment")
		col.generated = strings.Contains(extra, "virtual generated") || strings.Contains(extra, "stored generated") || strings.Contains(extra, "persistent")
		col.types = factsOf(col.dataType, col.collation, json[t.qualified()+"."+strings.ToLower(col.name)])
		t.columns = append(t.columns, col)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue of columns: %w", err)
	}
	return found, found.loadKeys(ctx, c, where)
}

// displayWidth is a number that MariaDB writes behind integer types and that means
// nothing.
var displayWidth = regexp.MustCompile(`^(tinyint|smallint|mediumint|int|bigint|year)\(\d+\)( unsigned)?$`)

// spelled is a type's text in the spelling that both servers have. A tinyint(1) is one
// that was made as a boolean.
func spelled(typeText string) string {
	m := displayWidth.FindStringSubmatch(typeText)
	if m == nil || typeText == "tinyint(1)" {
		return typeText
	}
	return m[1] + m[2]
}

// indexFacts is a unique index as information_schema.statistics lists it.
type indexFacts struct {
	name    string
	columns []string
	odd     string // why its values are not those of columns
}

// loadKeys reads the unique indexes: the primary key, or else the first by name whose
// columns are all NOT NULL, is the replication key.
func (c *catalog) loadKeys(ctx context.Context, from *conn, where string) error {
	indexes := map[string][]*indexFacts{}
	err := from.rows(ctx, `SELECT t.table_schema, t.table_name, t.index_name, coalesce(t.column_name, ''), coalesce(t.sub_part, 0)
		FROM information_schema.statistics t WHERE t.non_unique = 0 AND `+where+`
		ORDER BY t.table_schema, t.table_name, t.index_name <> 'PRIMARY', t.index_name, t.seq_in_index`, func(r []string) {
		name := r[0] + "." + r[1]
		if c.tables[name] == nil {
			return
		}
		all := indexes[name]
		if len(all) == 0 || all[len(all)-1].name != r[2] {
			all = append(all, &indexFacts{name: r[2]})
			indexes[name] = all
		}
		ix := all[len(all)-1]
		ix.columns = append(ix.columns, r[3])
		switch {
		case r[3] == "":
			ix.odd = "an index of an expression"
		case r[4] != "0":
			ix.odd = "an index of the beginning of " + r[3]
		}
	})
	if err != nil {
		return fmt.Errorf("reading the catalogue of unique indexes: %w", err)
	}
	for name, all := range indexes {
		c.tables[name].takeKeys(all)
	}
	return nil
}

func (t *tableFacts) takeKeys(all []*indexFacts) {
	key := -1
	for i, ix := range all {
		if ix.name == "PRIMARY" {
			key = i
			t.prefix = ix.odd != ""
			break
		}
		usable := ix.odd == "" && !slices.ContainsFunc(ix.columns, func(n string) bool {
			col := t.column(n)
			return col == nil || !col.notNull
		})
		if usable {
			key = i
			break
		}
	}
	for i, ix := range all {
		if i == key {
			t.key, t.keyName = ix.columns, ix.name
			continue
		}
		u := uniqueFacts{name: ix.name, columns: ix.columns, unread: ix.odd}
		for _, n := range ix.columns {
			if col := t.column(n); u.unread == "" && (col == nil || col.generated) {
				u.unread = "an index of the generated column " + n
			}
		}
		t.unique = append(t.unique, u)
	}
}

// shape is the table as change.Table, as the catalogue has it: columns that are not
// generated, in their order. It is sealed. Full images are always logged. A table that
// has problems has no shape that may be used.
func (t *tableFacts) shape() *change.Table {
	s := &change.Table{Schema: t.schema, Name: t.name, Full: true}
	for i := range t.columns {
		if c := &t.columns[i]; !c.generated {
			s.Columns = append(s.Columns, change.Column{Name: c.name, Type: c.typeText, Kind: c.types.kind, Identity: c.sequence, Collation: c.comparing()})
		}
	}
	for i := range s.Columns {
		if slices.ContainsFunc(t.key, func(n string) bool { return strings.EqualFold(n, s.Columns[i].Name) }) {
			s.Key = append(s.Key, i)
		}
	}
	s.Unique = t.uniqueShapes(s)
	return s.Seal()
}

// uniqueShapes are the unique keys of s that images tell the values of.
func (t *tableFacts) uniqueShapes(s *change.Table) []change.UniqueKey {
	var out []change.UniqueKey
	for _, u := range t.unique {
		if u.unread != "" {
			continue
		}
		k := change.UniqueKey{Name: u.name}
		for _, n := range u.columns {
			for i := range s.Columns {
				if strings.EqualFold(s.Columns[i].Name, n) {
					k.Parts = append(k.Parts, change.UniquePart{Column: i})
				}
			}
		}
		if len(k.Parts) == len(u.columns) {
			out = append(out, k)
		}
	}
	return out
}

// rows runs a query and hands each row over as texts; NULL is the empty text.
func (c *conn) rows(ctx context.Context, sql string, each func(row []string)) error {
	r, err := c.query(ctx, sql)
	if err != nil {
		return err
	}
	defer r.Close()
	for i := range r.RowNumber() {
		row := make([]string, r.ColumnNumber())
		for j := range row {
			s, err := r.GetString(i, j)
			if err != nil {
				return fmt.Errorf("reading a column of the answer: %w", err)
			}
			row[j] = strings.Clone(s) // the answer's memory is used again
		}
		each(row)
	}
	return nil
}
