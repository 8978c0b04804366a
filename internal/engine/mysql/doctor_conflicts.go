package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/concord-db/concord/internal/engine/site"
)

// The parts of doctor that look at what makes conflicts harder than they need be.

// uniqueKeys finds unique keys beside the replication key: two sites may each give the
// same value to different rows.
func (e *examination) uniqueKeys(context.Context) error {
	found := false
	for _, t := range e.sorted() {
		for _, u := range t.unique {
			found = true
			outcome := "only one row can keep it, by default the one written later, and the other row is deleted"
			if u.unread != "" {
				outcome = "the later change is parked, as it is " + u.unread
			}
			e.add("table "+t.qualified(), site.Warning,
				fmt.Sprintf("%s has the unique index %s beside its key: where two sites give one value to two rows at the same time, %s", t.qualified(), u.name, outcome),
				"let the value contain the site, or make it unique per site; watch concord conflicts list")
		}
	}
	if !found {
		e.fine("unique keys", "no table has unique keys beside its replication key")
	}
	return nil
}

// triggers finds those that fire for what is applied: this server cannot leave them out
// for a session, so they have to look themselves.
func (e *examination) triggers(ctx context.Context) error {
	if e.catalog == nil {
		return nil
	}
	bad := false
	err := e.c.rows(ctx, `SELECT event_object_schema, event_object_table, trigger_schema, trigger_name, action_statement
		FROM information_schema.triggers ORDER BY 1, 2, 3, 4`, func(row []string) {
		t := e.catalog.tables[row[0]+"."+row[1]]
		if t == nil || strings.Contains(strings.ToLower(row[4]), applyVariable) {
			return
		}
		bad = true
		e.add("table "+t.qualified(), site.Critical,
			fmt.Sprintf("the trigger %s fires for rows of %s that come from other sites too, where it has fired already: what it writes is written twice", row[2]+"."+row[3], t.qualified()),
			"let it do nothing in the agents' sessions: IF "+applyVariable+" IS NULL THEN … END IF")
	})
	if err != nil {
		return fmt.Errorf("reading the triggers: %w", err)
	}
	if !bad {
		e.fine("triggers", "none fires for what is applied")
	}
	return nil
}

// sequences finds numbers that two sites would both give out.
func (e *examination) sequences(ctx context.Context) error {
	if e.settings == nil {
		return nil
	}
	sites := int64(len(e.db.opts.Peers) + 1)
	own := int64(e.db.opts.Index) + 1
	step, offset, err := e.settings.autoIncrement()
	if err != nil {
		return err
	}
	var keys, others []string
	for _, t := range e.sorted() {
		for _, c := range t.columns {
			switch {
			case !c.sequence:
			case slices.Contains(t.key, c.name):
				keys = append(keys, t.qualified()+"."+c.name)
			default:
				others = append(others, t.qualified()+"."+c.name)
			}
		}
	}
	checked := len(keys) + len(others)
	if sites == 1 || checked == 0 || step%sites == 0 && offset%sites == own%sites {
		e.fine("sequences", "%d AUTO_INCREMENT columns of replicated tables, none overlaps another site's", checked)
		return nil
	}
	status := site.Warning
	problem := fmt.Sprintf("takes the numbers %d, %d, %d …: %d sites would give the same number to different rows", offset, offset+step, offset+2*step, sites)
	switch {
	case step%sites == 0:
		// Right if no other site has this share; this site alone cannot tell.
		problem = fmt.Sprintf("takes the numbers that are %d modulo %d, which is another site's share by the order of the configuration", offset%sites, sites)
	case len(keys) > 0:
		status = site.Critical
	}
	e.add("sequences", status, "AUTO_INCREMENT of "+strings.Join(append(keys, others...), ", ")+" "+problem,
		e.settings.set("auto_increment_increment", strconv.FormatInt(sites, 10))+"; "+e.settings.set("auto_increment_offset", strconv.FormatInt(own, 10))+
			" (at this site; each site has its own offset); sessions that are open keep theirs until they connect again")
	return nil
}

// autoIncrement is how the server numbers rows: from the offset, in steps.
func (s *serverSettings) autoIncrement() (step, offset int64, err error) {
	if step, err = strconv.ParseInt(s.values["auto_increment_increment"], 10, 64); err != nil {
		return 0, 0, fmt.Errorf("reading auto_increment_increment: %w", err)
	}
	if offset, err = strconv.ParseInt(s.values["auto_increment_offset"], 10, 64); err != nil {
		return 0, 0, fmt.Errorf("reading auto_increment_offset: %w", err)
	}
	if offset > step {
		offset = 1 // the server ignores an offset that is greater
	}
	return step, offset, nil
}
