package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/google/uuid"

	"github.com/concord-db/concord/internal/change"
)

// A reader of the log is a replica to the server, and replicas must have different
// server ids. Each reader takes one of these at random; servers are rarely given such.
const (
	firstReaderID = 3221225472 // 0xC0000000
	readerIDs     = 1 << 24
)

// heartbeatEvery is how often an idle server says that it is there and where its log
// ends; silence how long it may say nothing before the connection counts as dead.
const (
	heartbeatEvery = time.Second
	silence        = time.Minute
)

// dump is the log as it comes from the server.
//
// It is a connection of its own and not the library's syncer: that asks the server to
// leave out the checksums, decodes a compressed transaction as a whole, reads ahead by a
// number of events of any size, and connects again by itself.
type dump struct {
	c        *conn
	deadline time.Time
}

// readerID chooses a server id that no replica has that is connected now. MariaDB lists
// them only to those who may administer replication; then chance must do.
func (c *conn) readerID(ctx context.Context) (uint32, error) {
	sql := "SHOW REPLICAS"
	if c.flavor == mariaDB {
		sql = "SHOW SLAVE HOSTS"
	}
	taken := map[string]bool{}
	err := c.rows(ctx, sql, func(r []string) { taken[r[0]] = true })
	if err != nil && errorNumber(err) != gomysql.ER_SPECIFIC_ACCESS_DENIED_ERROR {
		return 0, fmt.Errorf("listing the replicas: %w", err)
	}
	for {
		id := firstReaderID + rand.Uint32N(readerIDs)
		if !taken[fmt.Sprint(id)] {
			return id, nil
		}
	}
}

// startDump makes the session one that the log is sent on: everything that is not in
// gtids. The session is the dump's then.
func startDump(ctx context.Context, c *conn, site change.Site, gtids gtidSet) (*dump, error) {
	id, err := c.readerID(ctx)
	if err != nil {
		return nil, err
	}
	period := heartbeatEvery.Nanoseconds()
	statements := []string{
		fmt.Sprintf("SET @master_heartbeat_period = %d, @source_heartbeat_period = %d", period, period),
		"SET @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum",
	}
	if c.flavor == mariaDB {
		statements = append(statements,
			"SET @mariadb_slave_capability = 4", // GTIDs
			"SET @slave_connect_state = "+literal(gtids.String()),
			"SET @slave_gtid_strict_mode = 1", // a place that the log does not have is an error
			"SET @slave_gtid_ignore_duplicates = 0")
	} else {
		statements = append(statements, fmt.Sprintf("SET @slave_uuid = '%[1]s', @replica_uuid = '%[1]s'", uuid.NewString()))
	}
	for _, sql := range statements {
		if _, err := c.exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("preparing to read the log: %w", err)
		}
	}
	err = c.call(ctx, func() error {
		c.c.ResetSequence()
		if err := c.c.WritePacket(registration(id, "concord-"+string(site))); err != nil {
			return err
		}
		_, err := c.c.ReadOKPacket()
		return err
	})
	if err != nil {
		return nil, logError(fmt.Errorf("registering as a replica: %w", err))
	}
	err = c.call(ctx, func() error {
		c.c.ResetSequence()
		return c.c.WritePacket(dumpCommand(c.flavor, id, gtids))
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the log: %w", err)
	}
	return &dump{c: c}, nil
}

// registration is the command that makes a session a replica, so that people see it
// among the others. Four bytes are left for the packet's header.
func registration(id uint32, name string) []byte {
	name = name[:min(len(name), 60)]
	b := make([]byte, 4, 32+len(name))
	b = append(b, gomysql.COM_REGISTER_SLAVE)
	b = binary.LittleEndian.AppendUint32(b, id)
	b = append(b, byte(len(name)))
	b = append(b, name...)
	b = append(b, 0, 0, 0, 0)                // user, password, port
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0) // rank, source
}

// dumpCommand asks for the log. MariaDB has been told in variables where it begins.
func dumpCommand(f flavor, id uint32, gtids gtidSet) []byte {
	b := make([]byte, 4, 64)
	if f == mariaDB {
		b = append(b, gomysql.COM_BINLOG_DUMP)
		b = binary.LittleEndian.AppendUint32(b, 4)
		// With the statements' texts: sizes of events must add up to offsets.
		b = binary.LittleEndian.AppendUint16(b, replication.BINLOG_SEND_ANNOTATE_ROWS_EVENT)
		return binary.LittleEndian.AppendUint32(b, id)
	}
	set := gtids.(*intervals).set.Encode()
	b = append(b, gomysql.COM_BINLOG_DUMP_GTID)
	b = binary.LittleEndian.AppendUint16(b, replication.BINLOG_THROUGH_GTID)
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint32(b, 0) // no file name
	b = binary.LittleEndian.AppendUint64(b, 4)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(set)))
	return append(b, set...)
}

// errServerEnded is a server that is shutting down.
var errServerEnded = errors.New("the server has ended the stream")

// next reads one event, undecoded. It is the caller's.
func (d *dump) next(ctx context.Context) ([]byte, error) {
	packet, err := d.c.c.ReadPacket()
	switch {
	case err != nil:
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("the connection to the server is lost: %w", err)
	case len(packet) == 0:
		return nil, errEvent
	case packet[0] == gomysql.OK_HEADER:
		return packet[1:], nil
	case packet[0] == gomysql.ERR_HEADER:
		return nil, logError(d.c.c.HandleErrorPacket(packet))
	case packet[0] == gomysql.EOF_HEADER:
		return nil, errServerEnded
	}
	return nil, fmt.Errorf("reading a packet that begins with %#x: %w", packet[0], errEvent)
}

// stillReading moves the deadline of reading forward, now and then.
func (d *dump) stillReading(ctx context.Context) {
	now := time.Now()
	if d.deadline.Sub(now) > silence*3/4 {
		return
	}
	d.deadline = now.Add(silence)
	_ = d.c.c.SetReadDeadline(d.deadline)
	if ctx.Err() != nil { // it ended in between, and its deadline was overwritten
		d.interrupt()
	}
}

// interrupt ends a read that is under way.
func (d *dump) interrupt() { _ = d.c.c.SetReadDeadline(time.Unix(1, 0)) }

// errSameServerID is a reader that a replica with its server id displaced. The next one
// takes another.
var errSameServerID = errors.New("another replica connected with the server id of this reader")

// logError gives an error of the server about its log its class.
func logError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch errorNumber(err) {
	case gomysql.ER_MASTER_FATAL_ERROR_READING_BINLOG: // says in its text what is the matter
		switch {
		case strings.Contains(text, "same server_uuid/server_id"):
			return fmt.Errorf("%w: %w", errSameServerID, err)
		case strings.Contains(text, "max_allowed_packet"):
			return fmt.Errorf("%w: %w; raise max_allowed_packet of the server to 1G", change.ErrRefused, err)
		case strings.Contains(text, "errno"): // the file could not be read
			return err
		}
		return fmt.Errorf("%w: %w; %s", change.ErrNeedsCopy, err, newEpochRemedy)
	case 4052: // ER_SLAVE_SAME_ID
		return fmt.Errorf("%w: %w", errSameServerID, err)
	case 1945, 1955, 1950: // ER_GTID_POSITION_NOT_FOUND_IN_BINLOG, …_BINLOG2, ER_GTID_START_FROM_BINLOG_HOLE
		return fmt.Errorf("%w: %w; %s", change.ErrNeedsCopy, err, newEpochRemedy)
	case gomysql.ER_SPECIFIC_ACCESS_DENIED_ERROR, gomysql.ER_ACCESS_DENIED_ERROR:
		return fmt.Errorf("%w: %w; see concord init --grants", change.ErrRefused, err)
	}
	return err
}
