package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// Check is one thing that doctor looked at.
type Check = site.Check

// Doctor examines everything that Concord needs of this database and returns what
// it found, good and bad, each fault with its exact remedy. It changes nothing. A
// database that cannot be reached is one critical check. It connects as the agents
// do, so rights are the agents' rights.
func (db *DB) Doctor(ctx context.Context) []Check {
	conn, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return []Check{{Name: "connection", Status: site.Critical, Detail: err.Error(), Remedy: "start the server, or correct the dsn of site " + string(db.opts.Site)}}
	}
	defer closeConn(ctx, conn)
	e := &examination{db: db, q: conn}
	for _, part := range []struct {
		name string
		look func(context.Context) error
	}{
		{"settings", e.settings},
		{"clock", e.clock},
		{"site", e.site},
		{"slot", e.slot},
		{"tables", e.tables},
		{"publication", e.publication},
		{"rights", e.rights},
		{"row security", e.rowSecurity},
		{"replica identity", e.oldImages},
		{"unique keys", e.uniqueKeys},
		{"foreign keys", e.lostParents},
		{"sequences", e.sequences},
	} {
		if err := part.look(ctx); err != nil {
			e.add(part.name, site.Critical, err.Error(), "see the server's log")
		}
	}
	return e.checks
}

// examination gathers checks.
type examination struct {
	db      *DB
	q       *pgx.Conn
	version int
	catalog *catalog
	checks  []Check
}

func (e *examination) add(name string, s site.Status, detail, remedy string) {
	e.checks = append(e.checks, Check{Name: name, Status: s, Detail: detail, Remedy: remedy})
}

// fine adds a check that is in order.
func (e *examination) fine(name, format string, args ...any) {
	e.add(name, site.OK, fmt.Sprintf(format, args...), "")
}

// settings looks at the server's parameters.
func (e *examination) settings(ctx context.Context) error {
	set := map[string]string{}
	rows, err := e.q.Query(ctx, `SELECT name, setting FROM pg_settings`)
	if err != nil {
		return err
	}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { set[name] = value; return nil }); err != nil {
		return err
	}
	var usedSlots, usedSenders, usedOrigins, maxSlots, maxSenders, maxOrigins int
	err = e.q.QueryRow(ctx, `SELECT current_setting('server_version_num')::int,
		(SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_stat_replication),
		(SELECT count(*) FROM pg_replication_origin WHERE roname NOT LIKE $1),
		current_setting('max_replication_slots')::int, current_setting('max_wal_senders')::int,
		coalesce(current_setting('max_active_replication_origins', true), current_setting('max_replication_slots'))::int`,
		e.db.slot()+"%").Scan(&e.version, &usedSlots, &usedSenders, &usedOrigins, &maxSlots, &maxSenders, &maxOrigins)
	if err != nil {
		return err
	}
	if e.version < minimumVersion {
		e.add("version", site.Critical, "PostgreSQL "+set["server_version"], "upgrade to PostgreSQL 15 or later")
	} else {
		e.fine("version", "PostgreSQL %s", set["server_version"])
	}
	system := func(name, value string) string {
		return fmt.Sprintf("ALTER SYSTEM SET %s = %s; then restart the server", name, value)
	}
	reload := func(name, value string) string {
		return fmt.Sprintf("ALTER SYSTEM SET %s = %s; SELECT pg_reload_conf()", name, value)
	}
	if v := set["wal_level"]; v != "logical" {
		e.add("wal_level", site.Critical, "wal_level is "+v, system("wal_level", "logical"))
	} else {
		e.fine("wal_level", "logical")
	}
	room := func(name string, used, limit, need int) {
		switch {
		case used+need > limit:
			e.add(name, site.Critical, fmt.Sprintf("%d of %d in use by others, %d needed", used, limit, need), system(name, fmt.Sprint(used+need+4)))
		case used+need == limit:
			e.add(name, site.Warning, fmt.Sprintf("%d of %d in use by others, %d needed: none to spare", used, limit, need), system(name, fmt.Sprint(used+need+4)))
		default:
			e.fine(name, "%d of %d in use", used, limit)
		}
	}
	slot, err := readSlot(ctx, e.q, e.db.slot())
	if err != nil {
		return err
	}
	if slot != nil {
		usedSlots--
		if slot.Active {
			usedSenders--
		}
	}
	room("max_replication_slots", usedSlots, maxSlots, 1)
	room("max_wal_senders", usedSenders, maxSenders, 1)
	if e.version >= originFilter && !e.db.opts.MarkFirst {
		name := "max_replication_slots"
		if e.version >= 180000 {
			name = "max_active_replication_origins"
		}
		if need := 1 + len(e.db.opts.Peers)*originLanes; usedOrigins+need > maxOrigins {
			e.add("replication origins", site.Warning, fmt.Sprintf("%s is %d; up to %d origins are used at once, %d by others", name, maxOrigins, need+usedOrigins, usedOrigins), system(name, fmt.Sprint(need+usedOrigins+4)))
		} else {
			e.fine("replication origins", "%s is %d, up to %d are used at once", name, maxOrigins, need+usedOrigins)
		}
	}
	if v := set["max_slot_wal_keep_size"]; v != "-1" {
		e.add("max_slot_wal_keep_size", site.Warning, v+" MB: when a peer or the stream is away for longer than that much log, the slot is lost and the other sites need a copy", reload("max_slot_wal_keep_size", "-1"))
	} else {
		e.fine("max_slot_wal_keep_size", "no limit: the slot is never lost; watch the disk (concord_source_retained_bytes)")
	}
	if v, ok := set["idle_replication_slot_timeout"]; ok && v != "0" {
		e.add("idle_replication_slot_timeout", site.Warning, v+": a slot nobody reads for so long is invalidated", reload("idle_replication_slot_timeout", "0"))
	}
	switch ms, err := strconv.Atoi(set["wal_sender_timeout"]); {
	case err != nil:
		return err
	case ms == 0:
		e.add("wal_sender_timeout", site.Warning, "off: the server keeps the slot of a dead agent for ever", reload("wal_sender_timeout", "'60s'"))
	case ms < int(2*pingInterval/time.Millisecond):
		e.add("wal_sender_timeout", site.Warning, fmt.Sprintf("%d ms: less than twice the interval of status messages (%s)", ms, pingInterval), reload("wal_sender_timeout", "'60s'"))
	default:
		e.fine("wal_sender_timeout", "%d ms", ms)
	}
	if v, ok := set["output_plugin_libraries"]; ok && !slices.Contains(strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '"' }), "pgoutput") {
		e.add("output_plugin_libraries", site.Critical, v+": pgoutput is not allowed", reload("output_plugin_libraries", literal(strings.TrimPrefix(v+", pgoutput", ", "))))
	}
	if set["fsync"] != "on" {
		e.add("fsync", site.Warning, "off: a crash of the machine loses transactions that the other sites already have", reload("fsync", "on"))
	}
	if v := set["synchronous_commit"]; v == "off" {
		e.add("synchronous_commit", site.Warning, "off: the last transactions before a crash are lost here though the other sites may have them", reload("synchronous_commit", "on"))
	} else {
		e.fine("synchronous_commit", "%s", v)
	}
	return nil
}

// clock compares the server's clock with this process's.
func (e *examination) clock(ctx context.Context) error {
	offset, uncertainty, err := clockOffset(ctx, e.q)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("the server's clock is %s ahead of this host's, give or take %s", offset.Round(time.Millisecond), uncertainty.Round(time.Millisecond))
	if offset.Abs() > time.Second+uncertainty {
		e.add("clock", site.Warning, text, "run a time service (chrony, ntpd) on both; a wrong clock costs fairness in conflicts, never correctness")
		return nil
	}
	e.fine("clock", "%s", text)
	return nil
}

// clockOffset measures how far the server's clock is ahead, by the quickest of a few
// exchanges.
func clockOffset(ctx context.Context, q querier) (offset, uncertainty time.Duration, err error) {
	uncertainty = time.Hour
	for range 5 {
		var there time.Time
		before := time.Now()
		if err := q.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&there); err != nil {
			return 0, 0, fmt.Errorf("reading the server's clock: %w", err)
		}
		if trip := time.Since(before); trip/2 < uncertainty {
			uncertainty = trip / 2
			offset = there.Sub(before.Add(trip / 2))
		}
	}
	return offset, uncertainty, nil
}

func (e *examination) initRemedy() string { return "concord init --site " + string(e.db.opts.Site) }

// site looks at what init recorded.
func (e *examination) site(ctx context.Context) error {
	row, err := readSite(ctx, e.q)
	if err == nil {
		err = e.db.checkSite(row)
	}
	switch {
	case err == nil:
		e.fine("site", "%s of cluster %s, epoch %d", row.site, row.cluster, row.epoch)
	case errors.Is(err, change.ErrRefused):
		e.add("site", site.Critical, err.Error(), e.initRemedy())
	default:
		return err
	}
	return nil
}

// slot looks at the replication slot.
func (e *examination) slot(ctx context.Context) error {
	s, err := readSlot(ctx, e.q, e.db.slot())
	if err != nil {
		return err
	}
	giveUp := e.initRemedy() + " --new-epoch, then bring a copy of its data to the other sites"
	switch {
	case s == nil:
		e.add("slot", site.Critical, "replication slot "+e.db.slot()+" does not exist", e.initRemedy()+"; if this site was prepared before: "+giveUp)
	case s.lost() != "":
		e.add("slot", site.Critical, "replication slot "+s.Name+" "+s.lost(), giveUp)
	case s.WALStatus == "unreserved":
		e.add("slot", site.Critical, "replication slot "+s.Name+" is about to lose log that it needs", "start capture now, or raise max_slot_wal_keep_size")
	default:
		state := "not read by anyone now"
		if s.Active {
			state = fmt.Sprintf("read by process %d", s.ActivePID)
		}
		e.fine("slot", "%s, confirmed up to %s, %s", s.Name, s.ConfirmedFlush, state)
	}
	return nil
}

// tables looks at the key and kind of each table.
func (e *examination) tables(ctx context.Context) (err error) {
	if e.catalog, err = loadCatalog(ctx, e.q, e.db.opts.Tables); err != nil {
		return err
	}
	problems := e.catalog.allProblems()
	for _, p := range problems {
		e.add("table "+p.table, site.Critical, p.table+" "+p.detail, p.remedy)
	}
	if len(e.catalog.tables) == 0 {
		e.add("tables", site.Warning, "no table of this database matches the configuration", "check the [[table]] rules with concord config explain TABLE")
	} else if len(problems) == 0 {
		e.fine("tables", "%d tables, each with a usable key", len(e.catalog.tables))
	}
	for _, t := range e.sorted() {
		e.unreadUnique(t)
		if t.relkind == 'p' {
			e.add("table "+t.qualified(), site.Warning, t.qualified()+" is partitioned: TRUNCATE, ATTACH and DETACH of a single partition are not replicated",
				"use DELETE for a single partition, or do the same at every site")
		}
	}
	return nil
}

// sorted lists the tables by name; none when the catalogue could not be read.
func (e *examination) sorted() []*tableFacts {
	if e.catalog == nil {
		return nil
	}
	var ts []*tableFacts
	for _, t := range e.catalog.tables {
		ts = append(ts, t)
	}
	slices.SortFunc(ts, func(a, b *tableFacts) int { return strings.Compare(a.qualified(), b.qualified()) })
	return ts
}

// publication compares the publication with the configuration.
func (e *examination) publication(ctx context.Context) error {
	if e.catalog == nil {
		return nil
	}
	p, err := readPublication(ctx, e.q)
	if err != nil {
		return err
	}
	if d := p.differences(published(e.catalog)); len(d) > 0 {
		e.add("publication", site.Critical, publicationName+": "+strings.Join(d, "; "), e.initRemedy())
	} else {
		e.fine("publication", "%s publishes %d tables and the control tables", publicationName, len(e.catalog.tables))
	}
	return nil
}

// rights lists what the connected role may not do but must.
func (e *examination) rights(ctx context.Context) error {
	if e.catalog == nil {
		return nil
	}
	missing, err := missingGrants(ctx, e.q, e.catalog, e.version >= originFilter && !e.db.opts.MarkFirst)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		e.fine("rights", "the role may do all it needs")
	}
	if n := len(missing); n > 0 {
		e.add("rights", site.Critical, fmt.Sprintf("the role lacks %d of the rights it needs", n), strings.Join(missing, "; "))
	}
	return nil
}

// rowSecurity finds tables whose policies would hide rows from the agents.
func (e *examination) rowSecurity(ctx context.Context) error {
	var bypass bool
	var role string
	if err := e.q.QueryRow(ctx, `SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user`).Scan(&role, &bypass); err != nil {
		return err
	}
	for _, t := range e.sorted() {
		if t.rowSecurity && !bypass {
			e.add("table "+t.qualified(), site.Critical, t.qualified()+" has row level security, which would hide rows from the agents; they refuse to work on it",
				"ALTER ROLE "+quote(role)+" BYPASSRLS")
		}
	}
	return nil
}
