package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// position is a place in the log of one server. Its text is SERVER/FILE:OFFSET/GTIDS.
//
// File and offset order the places of one server, and are what a fence is about: a row
// can be seen by others when its transaction has been written to the file, before the
// server's set of executed transactions has it. They mean nothing to another server.
// The GTID set is what reading resumes by, and orders places of different servers: one
// reader's sets only grow.
type position struct {
	server string // MySQL: its UUID; MariaDB: its server_id
	file   string
	offset uint64
	gtids  string // of all that was read up to here; empty in a position that is only for a fence
}

func (p position) String() string {
	b := make([]byte, 0, len(p.server)+len(p.file)+len(p.gtids)+12)
	b = append(b, p.server...)
	b = append(b, '/')
	b = append(b, p.file...)
	b = append(b, ':')
	b = strconv.AppendUint(b, p.offset, 10)
	b = append(b, '/')
	b = append(b, p.gtids...)
	return string(b)
}

// position is the same as the rest of Concord carries it.
func (p position) position() change.Position { return change.Position(p.String()) }

// place is file and offset, for people.
func (p position) place() string { return p.file + ":" + strconv.FormatUint(p.offset, 10) }

// parsePosition reads SERVER/FILE:OFFSET/GTIDS.
func parsePosition(s string) (position, error) {
	server, rest, ok1 := strings.Cut(s, "/")
	place, gtids, ok2 := strings.Cut(rest, "/")
	colon := strings.LastIndexByte(place, ':')
	if ok1 && ok2 && colon > 0 {
		offset, err := strconv.ParseUint(place[colon+1:], 10, 64)
		if err == nil {
			return position{server: server, file: place[:colon], offset: offset, gtids: gtids}, nil
		}
	}
	return position{}, fmt.Errorf("reading log position %q: not of the form SERVER/FILE:OFFSET/GTIDS", s)
}

// fileNumber is the number that a file of the log ends in.
func fileNumber(name string) uint64 {
	n, _ := strconv.ParseUint(name[strings.LastIndexByte(name, '.')+1:], 10, 64) // none: 0
	return n
}

// comparePlaces orders two places in the log of one server.
func comparePlaces(a, b position) int {
	if c := cmp.Compare(fileNumber(a.file), fileNumber(b.file)); c != 0 {
		return c
	}
	return cmp.Compare(a.offset, b.offset)
}

// Compare orders two log positions. An unparsable position is before all others. A
// position of a fence is after all places of another server: whether a reader of that
// one has reached it is not known.
func (db *DB) Compare(a, b change.Position) int {
	if a == b {
		return 0
	}
	pa, errA := parsePosition(string(a))
	pb, errB := parsePosition(string(b))
	switch {
	case errA != nil && errB != nil:
		return 0
	case errA != nil:
		return -1
	case errB != nil:
		return 1
	}
	if pa.server == pb.server {
		return comparePlaces(pa, pb)
	}
	if pa.gtids == "" || pb.gtids == "" {
		return cmp.Compare(len(pb.gtids), len(pa.gtids))
	}
	f := mySQL
	if !strings.Contains(pa.gtids, ":") {
		f = mariaDB
	}
	ga, errA := parseGTIDs(f, pa.gtids)
	gb, errB := parseGTIDs(f, pb.gtids)
	if errA != nil || errB != nil {
		return cmp.Compare(pa.gtids, pb.gtids)
	}
	switch aCovers, bCovers := ga.covers(gb), gb.covers(ga); {
	case aCovers && bCovers:
		return 0
	case aCovers:
		return 1
	}
	return -1
}

// serverName is what positions of the session's server begin with.
func (c *conn) serverName(ctx context.Context) (string, error) {
	sql := "SELECT @@server_uuid"
	if c.flavor == mariaDB {
		sql = "SELECT @@server_id"
	}
	var name string
	if err := c.rows(ctx, sql, func(r []string) { name = r[0] }); err != nil {
		return "", fmt.Errorf("asking the server who it is: %w", err)
	}
	return name, nil
}

// errNoLog is a server that writes no binary log.
var errNoLog = errors.New("the server writes no binary log")

// logEnd asks how far the log has been written: file and offset, for a fence. server is
// what serverName returned on this session.
func (c *conn) logEnd(ctx context.Context, server string) (position, error) {
	sql := "SHOW BINARY LOG STATUS"
	if c.flavor == mariaDB {
		sql = "SHOW MASTER STATUS"
	}
	p := position{server: server}
	var bad error
	err := c.rows(ctx, sql, func(r []string) {
		p.file = r[0]
		p.offset, bad = strconv.ParseUint(r[1], 10, 64)
	})
	switch {
	case err != nil:
		return p, fmt.Errorf("asking for the end of the log: %w", err)
	case bad != nil:
		return p, fmt.Errorf("asking for the end of the log: %w", bad)
	case p.file == "":
		return p, fmt.Errorf("asking for the end of the log: %w: %w; set log_bin and restart it", change.ErrRefused, errNoLog)
	}
	return p, nil
}

// startPosition is where a reader begins that is to read all that commits from now on:
// what init records. Every transaction that is not in its set follows.
func (c *conn) startPosition(ctx context.Context) (position, error) {
	server, err := c.serverName(ctx)
	if err != nil {
		return position{}, err
	}
	p, err := c.logEnd(ctx, server)
	if err != nil {
		return p, err
	}
	// Asked after the end: what commits in between is skipped, not read twice and not
	// half. Nobody has been promised it.
	if p.gtids, err = c.executed(ctx); err != nil {
		return p, err
	}
	return p, nil
}

// executed is the set of all transactions that are in the server's log or were.
func (c *conn) executed(ctx context.Context) (string, error) {
	sql := "SELECT @@global.gtid_executed"
	if c.flavor == mariaDB {
		sql = "SELECT @@global.gtid_binlog_pos"
	}
	var text string
	if err := c.rows(ctx, sql, func(r []string) { text = r[0] }); err != nil {
		return "", fmt.Errorf("asking for the executed transactions: %w", err)
	}
	set, err := parseGTIDs(c.flavor, text)
	if err != nil {
		return "", err
	}
	return set.String(), nil
}
