package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// serverSettings are the server's variables by lower-case name. A variable that this
// server does not have is missing.
type serverSettings struct {
	flavor flavor
	values map[string]string
}

func readSettings(ctx context.Context, c *conn) (*serverSettings, error) {
	s := &serverSettings{flavor: c.flavor, values: map[string]string{}}
	err := c.rows(ctx, "SHOW GLOBAL VARIABLES", func(row []string) { s.values[strings.ToLower(row[0])] = row[1] })
	if err != nil {
		return nil, fmt.Errorf("reading the server's settings: %w", err)
	}
	return s, nil
}

// set is the remedy of a variable that can be changed while the server runs.
func (s *serverSettings) set(name, value string) string {
	if s.flavor == mariaDB {
		return fmt.Sprintf("SET GLOBAL %s = %s; and %s in the server's configuration file", name, value, entry(name, value))
	}
	return fmt.Sprintf("SET PERSIST %s = %s", name, value)
}

// restart is the remedy of a variable that cannot.
func (s *serverSettings) restart(name, value string) string {
	return entry(name, value) + " in the server's configuration file; then restart the server"
}

func entry(name, value string) string { return name + "=" + strings.Trim(value, "'") }

// fault is a setting that is not as it must be.
type fault struct{ name, detail, remedy string }

// logFaults are those without which the log does not tell what was written.
func (s *serverSettings) logFaults() (all []fault) {
	must := func(name, detail, remedy string, right ...string) {
		v, has := s.values[name]
		if has && !slices.Contains(right, strings.ToUpper(v)) {
			all = append(all, fault{name, fmt.Sprintf("%s is %q: %s", name, v, detail), remedy})
		}
	}
	must("log_bin", "there is no log to read", s.restart("log_bin", "binlog"), "ON", "1")
	must("binlog_format", "statements are logged instead of rows", s.set("binlog_format", "'ROW'")+"; sessions that are open keep theirs until they connect again", "ROW")
	must("binlog_row_image", "rows are not logged whole", s.set("binlog_row_image", "'FULL'")+"; sessions that are open keep theirs until they connect again", "FULL")
	must("binlog_row_metadata", "the log does not say what columns are called and how their bytes are meant", s.set("binlog_row_metadata", "'FULL'"), "FULL")
	must("binlog_row_value_options", "documents are not logged whole", s.set("binlog_row_value_options", "''")+"; sessions that are open keep theirs until they connect again", "")
	must("gtid_mode", "transactions have no names in the log", "bring it to ON step by step, as the server's manual says: OFF_PERMISSIVE, ON_PERMISSIVE, ON; each with SET PERSIST gtid_mode", "ON")
	must("enforce_gtid_consistency", "transactions may be refused a name in the log", s.set("enforce_gtid_consistency", "'ON'"), "ON")
	if s.values["server_id"] == "0" {
		all = append(all, fault{"server_id", "server_id is 0: nobody may read the log", s.set("server_id", "N") + ", N a number that no other server of the same replication has"})
	}
	return all
}

// checkLogSettings refuses a server whose log does not tell what was written.
func checkLogSettings(ctx context.Context, c *conn) error {
	s, err := readSettings(ctx, c)
	if err != nil {
		return err
	}
	if err := checkVersion(s.values["version"]); err != nil {
		return err
	}
	var lines []string
	for _, f := range s.logFaults() {
		lines = append(lines, f.detail+"; "+f.remedy)
	}
	if len(lines) > 0 {
		return fmt.Errorf("%w: %s", change.ErrRefused, strings.Join(lines, "\n"))
	}
	return nil
}
