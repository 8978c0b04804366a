package compare

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// MySQL is the database that a session at MySQL or MariaDB has chosen, as a side. Its
// rows are plain ones. The connection is the caller's, and for nothing else while rows are
// open; it speaks UTF-8 and has the time zone +00:00. After a reading that was given up
// it is of no more use.
type MySQL struct{ Conn *client.Conn }

// Tables lists the tables with a primary key, by name; the cluster calls the database
// schema.
func (m MySQL) Tables(ctx context.Context, schema string) ([]Table, error) {
	rows, err := m.query(ctx, `SELECT table_name, column_name FROM information_schema.key_column_usage
		WHERE table_schema = database() AND constraint_name = 'PRIMARY' ORDER BY cast(table_name AS binary), ordinal_position`)
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", err)
	}
	var tables []Table
	for _, row := range rows {
		if n := len(tables); n == 0 || tables[n-1].Name != row[0] {
			tables = append(tables, Table{Schema: schema, Name: row[0]})
		}
		last := &tables[len(tables)-1]
		last.Key = append(last.Key, row[1])
	}
	return tables, nil
}

// Open reads a table by its key.
func (m MySQL) Open(ctx context.Context, table Table) (Rows, error) {
	checked, err := m.jsonColumns(ctx, table)
	if err != nil {
		return nil, err
	}
	columns, err := m.query(ctx, fmt.Sprintf(`SELECT column_name, data_type FROM information_schema.columns
		WHERE table_schema = database() AND table_name = '%s' ORDER BY cast(column_name AS binary)`, table.Name))
	if err != nil {
		return nil, err
	}
	rows := &mysqlRows{keys: len(table.Key), documents: make([]bool, len(table.Key))}
	var values []string
	read := map[string]string{}
	for _, c := range columns {
		column := "t." + quote(c[0])
		switch c[1] {
		case "timestamp", "datetime":
			column = "date_format(" + column + ", '%Y-%m-%d %T.%f')"
		case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit":
			column = "lower(hex(" + column + "))"
		default:
			column = "convert(" + column + " USING utf8mb4)"
		}
		read[c[0]] = column
		values = append(values, column)
		rows.documents = append(rows.documents, c[1] == "json" || checked[c[0]])
	}
	keys, order := make([]string, len(table.Key)), make([]string, len(table.Key))
	for i, k := range table.Key {
		keys[i], order[i] = read[k], "t."+quote(k)
	}
	rows.start(ctx, m.Conn, fmt.Sprintf("SELECT %s FROM %s t ORDER BY %s", strings.Join(append(keys, values...), ", "), quote(table.Name), strings.Join(order, ", ")))
	return rows, nil
}

// jsonColumns are those that MariaDB checks to be JSON: it has no type for it.
func (m MySQL) jsonColumns(ctx context.Context, table Table) (map[string]bool, error) {
	found := map[string]bool{}
	if !strings.Contains(strings.ToLower(m.Conn.GetServerVersion()), "mariadb") {
		return found, nil
	}
	rows, err := m.query(ctx, fmt.Sprintf("SELECT check_clause FROM information_schema.check_constraints WHERE constraint_schema = database() AND table_name = '%s'", table.Name))
	for _, row := range rows {
		if name, ok := strings.CutPrefix(row[0], "json_valid(`"); ok {
			found[strings.TrimSuffix(name, "`)")] = true
		}
	}
	return found, err
}

func (m MySQL) query(ctx context.Context, sql string) ([][]string, error) {
	stop := context.AfterFunc(ctx, func() { _ = m.Conn.SetDeadline(time.Unix(1, 0)) })
	r, err := m.Conn.Execute(sql)
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return Texts(r), nil
}

// Texts are the rows of a result as text; NULL is the empty one.
func Texts(r *mysql.Result) [][]string {
	var rows [][]string
	for i := range r.RowNumber() {
		row := make([]string, r.ColumnNumber())
		for j := range row {
			text, _ := r.GetString(i, j) // it fails for columns that are not there
			row[j] = strings.Clone(text) // the result's memory is used again
		}
		rows = append(rows, row)
	}
	return rows
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
