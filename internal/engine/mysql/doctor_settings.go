package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/concord-db/concord/internal/engine/site"
)

// The parts of doctor that look at the server's settings.

func (e *examination) readSettings(ctx context.Context) (err error) {
	if e.settings, err = readSettings(ctx, e.c); err != nil {
		return err
	}
	version := e.settings.values["version"]
	if err := checkVersion(version); err != nil {
		e.add("version", site.Critical, e.c.flavor.name()+" "+version, "upgrade to MySQL 8.4 or MariaDB 10.11, or later")
	} else {
		e.fine("version", "%s %s", e.c.flavor.name(), version)
	}
	return nil
}

// logSettings looks at what makes the log tell what was written, and for how long it is
// kept.
func (e *examination) logSettings(context.Context) error {
	s := e.settings
	if s == nil {
		return nil
	}
	faults := s.logFaults()
	for _, f := range faults {
		e.add(f.name, site.Critical, f.detail, f.remedy)
	}
	if len(faults) == 0 {
		e.fine("log", "the binary log has every row whole")
	}
	if v, has := s.values["gtid_strict_mode"]; has && v != "ON" {
		e.add("gtid_strict_mode", site.Warning, "off: the server may log transactions out of order, after which its log cannot be followed from another server", s.set("gtid_strict_mode", "'ON'"))
	}
	for _, name := range []string{"log_replica_updates", "log_slave_updates"} {
		if v, has := s.values[name]; has {
			if v != "ON" {
				e.add(name, site.Warning, "off: what this server gets from a primary of its own is not in its log", s.restart(name, "ON"))
			}
			break // the older name says the same
		}
	}
	return e.retention()
}

// enoughRetention is how long the log should be kept at least: a long weekend.
const enoughRetention = 4 * 24 * 3600

// retention looks at how long the log is kept: the server does not know what capture
// has read.
func (e *examination) retention() error {
	s := e.settings
	seconds, err := strconv.ParseFloat(s.values["binlog_expire_logs_seconds"], 64)
	if err != nil {
		return fmt.Errorf("reading binlog_expire_logs_seconds: %w", err)
	}
	if days, err := strconv.ParseFloat(s.values["expire_logs_days"], 64); err == nil && seconds == 0 {
		seconds = days * 24 * 3600
	}
	name := "binlog_expire_logs_seconds"
	switch {
	case seconds == 0 || s.values["binlog_expire_logs_auto_purge"] == "OFF":
		e.fine(name, "the log is never removed; watch the disk")
	case seconds < enoughRetention:
		e.add(name, site.Warning, fmt.Sprintf("log is removed after %.1f hours: when capture or the stream is away for longer, the other sites need a copy", seconds/3600), s.set(name, "2592000"))
	default:
		e.fine(name, "log is kept for %.1f days", seconds/3600/24)
	}
	for _, name := range []string{"max_binlog_total_size", "binlog_space_limit"} {
		if v, has := s.values[name]; has && v != "0" {
			e.add(name, site.Warning, v+" bytes: when a peer or the stream is away for longer than that much log, the other sites need a copy", s.set(name, "0"))
			break // two names of one setting
		}
	}
	return nil
}

// logFilters finds databases that are left out of the log.
func (e *examination) logFilters(ctx context.Context) error {
	sql := "SHOW BINARY LOG STATUS"
	if e.c.flavor == mariaDB {
		sql = "SHOW MASTER STATUS"
	}
	var only, ignored []string
	names := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	}
	err := e.c.rows(ctx, sql, func(row []string) { only, ignored = append(only, names(row[2])...), append(ignored, names(row[3])...) })
	if err != nil {
		return err
	}
	if e.catalog == nil {
		if e.catalog, err = loadCatalog(ctx, e.c, e.db.opts.Tables); err != nil {
			return err
		}
	}
	var hidden []string
	for _, schema := range append(e.catalog.schemas(), controlSchema) {
		if len(only) > 0 && !slices.Contains(only, schema) || slices.Contains(ignored, schema) {
			hidden = append(hidden, schema)
		}
	}
	switch {
	case len(hidden) > 0:
		e.add("log filters", site.Critical, "the log leaves out the databases "+strings.Join(hidden, ", ")+", which Concord has to read there",
			"remove binlog_do_db and binlog_ignore_db from the server's configuration file; then restart the server")
	case len(only)+len(ignored) > 0:
		e.add("log filters", site.Warning, "binlog_do_db or binlog_ignore_db is set: what they leave out is not replicated", "remove them from the server's configuration file; then restart the server")
	default:
		e.fine("log filters", "none")
	}
	return nil
}

// safety looks at what a crash takes back, and at what sessions of applications do.
func (e *examination) safety(context.Context) error {
	s := e.settings
	if s == nil {
		return nil
	}
	for _, name := range []string{"sync_binlog", "innodb_flush_log_at_trx_commit"} {
		if v := s.values[name]; v != "1" {
			e.add(name, site.Warning, v+": a crash of the machine loses transactions that the other sites already have", s.set(name, "1"))
		} else {
			e.fine(name, "1")
		}
	}
	for _, name := range []string{"super_read_only", "read_only"} {
		if v, has := s.values[name]; has && v != "OFF" && v != "NO" && v != "0" {
			e.add(name, site.Critical, "on: what the other sites wrote cannot be applied here", s.set(name, "OFF"))
			break
		}
	}
	if s.values["wsrep_on"] == "ON" {
		e.add("wsrep_on", site.Warning, "a node of a Galera cluster: which agent leads is known to one node only", "let the dsn name one node, and another one only when that is gone")
	}
	if !strings.Contains(s.values["sql_mode"], "STRICT_") {
		e.add("sql_mode", site.Warning, "not strict: values that do not fit are cut or replaced without an error before they are replicated",
			s.set("sql_mode", literal(strings.TrimPrefix(s.values["sql_mode"]+",STRICT_TRANS_TABLES", ","))))
	}
	zone := s.values["time_zone"]
	if zone == "SYSTEM" {
		zone = s.values["system_time_zone"]
	}
	if !slices.Contains([]string{"UTC", "Etc/UTC", "+00:00", "GMT"}, zone) {
		e.add("time_zone", site.Warning, "it is "+zone+": a DATETIME that an application takes from NOW() is local time, and reads the same at sites in other zones", s.set("time_zone", "'+00:00'"))
	}
	if v := s.values["lower_case_table_names"]; v != "0" {
		e.fine("lower_case_table_names", "%s: names of tables are compared in lower case; write them so in the configuration", v)
	}
	const enough = 64 << 20
	if n, err := strconv.Atoi(s.values["max_allowed_packet"]); err != nil {
		return fmt.Errorf("reading max_allowed_packet: %w", err)
	} else if n < enough {
		e.add("max_allowed_packet", site.Warning, fmt.Sprintf("%d bytes: a greater row from another site cannot be written here and is parked", n), s.set("max_allowed_packet", strconv.Itoa(enough)))
	}
	return nil
}
