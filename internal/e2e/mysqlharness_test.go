package e2e

import (
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/concord-db/concord/internal/testcluster"
)

// serveMySQL starts the site's server, with an empty database shop.
func (s *site) serveMySQL(o pairOptions, i int) {
	s.t.Helper()
	s.mysql = testcluster.OwnMySQL(s.t, testcluster.MySQLOptions{Product: turn(o.products, i), Settings: o.settings, Faketime: turn(o.faketime, i)})
	s.dsn = s.mysql.DSN("shop")
	c, err := client.Connect(s.mysql.Addr(), "root", "", "")
	if err != nil {
		s.t.Fatalf("connecting to %s: %v", s.name, err)
	}
	defer c.Close()
	if _, err := c.Execute("CREATE DATABASE shop"); err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
}

// session is an application's, at a MySQL server.
func (s *site) session() *client.Conn {
	s.t.Helper()
	c, err := connectTo(s)
	if err != nil {
		s.t.Fatalf("connecting to %s: %v", s.name, err)
	}
	return c
}

func connectTo(s *site) (*client.Conn, error) {
	return client.Connect(s.mysql.Addr(), "root", "", "shop")
}

// execMySQL executes statements that end with a semicolon at the end of a line.
func (s *site) execMySQL(sql string) {
	s.t.Helper()
	c := s.session()
	defer c.Close()
	for statement := range strings.SplitSeq(sql+"\n", ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := c.Execute(statement); err != nil {
			s.t.Fatalf("%s: %s: %v", s.name, statement, err)
		}
	}
}

// queryMySQL returns the rows of a query as text, columns joined by |.
func (s *site) queryMySQL(sql string) []string {
	s.t.Helper()
	c := s.session()
	defer c.Close()
	r, err := c.Execute(sql)
	if err != nil {
		s.t.Fatalf("%s: %s: %v", s.name, sql, err)
	}
	var out []string
	for row := range r.RowNumber() {
		var columns []string
		for column := range r.ColumnNumber() {
			text, err := r.GetString(row, column)
			if err != nil {
				s.t.Fatalf("%s: %s: %v", s.name, sql, err)
			}
			columns = append(columns, text)
		}
		out = append(out, strings.Join(columns, "|"))
	}
	return out
}

// requireEqualMySQL compares all tables of shop row by row.
func (p *mesh) requireEqualMySQL() {
	p.t.Helper()
	first := p.sites[0]
	for _, table := range first.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' AND table_type = 'BASE TABLE' ORDER BY 1") {
		columns := first.query("SELECT column_name FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = '" + table + "' ORDER BY ordinal_position")
		for i, c := range columns {
			columns[i] = fmt.Sprintf("coalesce(hex(concat(`%s`, '')), 'NULL')", c)
		}
		q := fmt.Sprintf("SELECT concat_ws('|', %s) FROM `%s` ORDER BY 1", strings.Join(columns, ", "), table)
		a := first.query(q)
		for _, s := range p.sites[1:] {
			b := s.query(q)
			if n := diff(p.t, table, s.name, a, b); n > 0 {
				p.t.Errorf("table %s: %d rows differ (%d at %s, %d at %s)", table, n, len(a), first.name, len(b), s.name)
			}
		}
	}
}
