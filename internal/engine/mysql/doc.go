// Package mysql is the engine for MySQL 8.4 and later and MariaDB 10.11 and later.
//
// # Capture
//
// DB.Open reads the binary log as a replica does. The parser takes its events apart, the
// assembler turns them into those of capture, in commit order:
//
//   - A transaction that wrote concord.checkpoint is a replicated one: the row is its
//     mark. It is the first write, so what follows is not decoded.
//   - Any other transaction with rows of replicated tables, or with this site's
//     heartbeat, is local. It is returned in parts when it is large; positions of its
//     parts but the last are those before it.
//   - Everything else is progress: transactions of other tables, schema changes, new
//     files, and an idle server's word on where its log ends.
//
// A position is SERVER/FILE:OFFSET/GTIDS (position.go). File and offset order the places
// of one server and are what a fence waits for; the GTID set is what reading resumes by, at
// that server or at one that takes its place. DB.Open refuses a log that lacks something
// that was read, or something that was not, with change.ErrNeedsCopy.
//
// What a column is called, its sign, labels and character set stand in the log with every
// set of rows (binlog_row_metadata = FULL), so rows have the shape of their time however
// long ago that was. Only what the log does not say is asked of the catalogue as it is
// now: which columns are generated, unique indexes, the spelling of a type (relation.go).
// After any statement that may have changed a table everything is asked again.
//
// What the log cannot tell is refused with its remedy, at the start where a setting says
// it and where it stands in the log otherwise: images that are not whole, parts of JSON
// documents, statements instead of rows, rows of XA transactions before it is known
// whether these commit, rows that foreign keys changed unlogged.
//
// The connection is not the library's syncer: that asks the server to leave the checksums
// out, decodes a compressed transaction as a whole, and reads ahead by a number of events
// of any size (dump.go, payload.go). Values are decoded here for the same text that the
// server prints (value.go, temporal.go, json.go).
//
// Whether marks are recognised is proved at every start by a probe transaction; see probe.
package mysql
