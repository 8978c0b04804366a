package mysql

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/concord-db/concord/internal/engine/site"
)

const foreignQuery = `
SELECT k.constraint_name, k.table_schema, k.table_name, k.referenced_table_schema, k.referenced_table_name, k.column_name, k.referenced_column_name,
	r.delete_rule, r.update_rule
FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r
	ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
WHERE k.referenced_table_name IS NOT NULL
ORDER BY k.table_schema, k.table_name, k.constraint_name, k.ordinal_position`

// foreignKey is one between two tables of which at least one is replicated.
type foreignKey struct {
	site.ForeignKey
	child, parent *tableFacts // nil: not replicated
	onUpdate      string
}

// foreignKeys reads those from and to the tables of the catalogue.
func (e *examination) foreignKeys(ctx context.Context) (all []*foreignKey, err error) {
	var last *foreignKey
	err = e.c.rows(ctx, foreignQuery, func(row []string) {
		name, child, parent := row[0], row[1]+"."+row[2], row[3]+"."+row[4]
		if last == nil || last.Name != name || last.Child != child {
			last = &foreignKey{ForeignKey: site.ForeignKey{Name: name, Child: child, Parent: parent, OnDelete: row[7]}, onUpdate: row[8]}
			last.child, last.parent = e.catalog.tables[child], e.catalog.tables[parent]
			if last.child != nil || last.parent != nil {
				all = append(all, last)
			}
		}
		last.Columns, last.ParentColumns = append(last.Columns, row[5]), append(last.ParentColumns, row[6])
	})
	if err != nil {
		return nil, fmt.Errorf("reading the foreign keys: %w", err)
	}
	return all, nil
}

// loggedCascades is the first MySQL that logs the rows which a foreign key changes.
const loggedCascades = 90600

// cascades finds foreign keys by which the storage engine changes rows of replicated
// tables: those changes are not in the log.
func (e *examination) cascades(ctx context.Context) error {
	if e.catalog == nil || e.settings == nil {
		return nil
	}
	if e.c.flavor == mySQL && release(e.settings.values["version"]) >= loggedCascades && e.settings.values["innodb_native_foreign_keys"] != "ON" {
		e.fine("cascades", "rows that foreign keys change are logged")
		return nil
	}
	keys, err := e.foreignKeys(ctx)
	if err != nil {
		return err
	}
	bad := false
	for _, f := range keys {
		if f.child == nil || !cascading(f.OnDelete) && !cascading(f.onUpdate) {
			continue
		}
		bad = true
		e.add("foreign key "+f.Name, site.Critical,
			fmt.Sprintf("the foreign key %s of %s has ON DELETE %s, ON UPDATE %s: the rows of %s that it changes are not in the log, so other sites keep them", f.Name, f.Child, f.OnDelete, f.onUpdate, f.Child),
			fmt.Sprintf("ALTER TABLE %s DROP FOREIGN KEY %s; ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s (%s); and let applications change the rows themselves",
				f.child.sql(), quote(f.Name), f.child.sql(), quote(f.Name), quoteAll(f.Columns), quote(strings.SplitN(f.Parent, ".", 2)...), quoteAll(f.ParentColumns)))
	}
	if !bad {
		e.fine("cascades", "no foreign key changes rows of replicated tables")
	}
	return nil
}

func cascading(rule string) bool { return rule != "RESTRICT" && rule != "NO ACTION" }

func (t *tableFacts) sql() string { return quote(t.schema, t.name) }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}

// lostParentsTimeout ends the search for rows without their parent in large tables.
const lostParentsTimeout = 3 * time.Second

// lostParents finds rows whose parent is not there: what is applied is not checked
// against foreign keys.
func (e *examination) lostParents(ctx context.Context) error {
	if e.catalog == nil {
		return nil
	}
	keys, err := e.foreignKeys(ctx)
	if err != nil {
		return err
	}
	looked, bad := 0, false
	for _, f := range keys {
		if f.child == nil || f.parent == nil {
			continue // the rights to read it are not needed otherwise
		}
		looked++
		sql := orphans(f)
		example, err := e.exampleOf(ctx, f, sql)
		switch number := errorNumber(err); {
		case number == 3024 || number == 1969: // it took too long, at MySQL and at MariaDB
			bad = true
			e.add("foreign key "+f.Name, site.Warning,
				fmt.Sprintf("whether every row of %s has its %s was not found out within %s", f.Child, f.Parent, lostParentsTimeout),
				"look when there is time: "+sql)
		case err != nil:
			return fmt.Errorf("looking for rows of %s without their %s: %w", f.Child, f.Parent, err)
		case example != "":
			bad = true
			e.add("foreign key "+f.Name, site.Warning,
				fmt.Sprintf("rows of %s stand without their %s, for example where %s", f.Child, f.Parent, example),
				"insert the parents again, or delete these rows, at one site: "+sql)
		}
	}
	if looked > 0 && !bad {
		e.fine("foreign keys", "no row of a replicated table stands without its parent (%d foreign keys)", looked)
	}
	return nil
}

// orphans is the statement that finds rows without their parent.
func orphans(f *foreignKey) string {
	var known, joined []string
	for i, c := range f.Columns {
		known = append(known, "c."+quote(c)+" IS NOT NULL")
		joined = append(joined, "p."+quote(f.ParentColumns[i])+" = c."+quote(c))
	}
	return fmt.Sprintf("SELECT * FROM %s c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s)",
		f.child.sql(), strings.Join(known, " AND "), f.parent.sql(), strings.Join(joined, " AND "))
}

// exampleOf runs a statement that finds orphans until the first and tells its key; ""
// when there is none.
func (e *examination) exampleOf(ctx context.Context, f *foreignKey, sql string) (example string, err error) {
	var key []string
	for _, k := range f.child.key {
		key = append(key, literal(k+" = "), "c."+quote(k))
	}
	if len(key) == 0 {
		key = []string{"'any'"}
	}
	_, after, _ := strings.Cut(sql, "SELECT *")
	limit, query := fmt.Sprintf("/*+ MAX_EXECUTION_TIME(%d) */ ", lostParentsTimeout.Milliseconds()), ""
	if e.c.flavor == mariaDB {
		limit, query = "", fmt.Sprintf("SET STATEMENT max_statement_time = %d FOR ", int(lostParentsTimeout.Seconds()))
	}
	query += "SELECT " + limit + "CONCAT_WS(' ', " + strings.Join(key, ", ") + ")" + after + " LIMIT 1"
	err = e.c.rows(ctx, query, func(row []string) { example = row[0] })
	return example, err
}
