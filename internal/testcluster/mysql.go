package testcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Product is a server that speaks MySQL's protocol.
type Product string

// The products, in the versions that scripts/install-servers.sh installs: MariaDB 10.11
// and MySQL 9.
const (
	MariaDB Product = "mariadb"
	MySQL   Product = "mysql"
)

// MySQLOptions say what server to start. Product is required; the other zero values make a
// server for a test: in a temporary directory, on a free port, not flushing to disk.
type MySQLOptions struct {
	Product Product
	Dir     string // data, log and socket; kept by Close. "": a temporary directory, removed by Close
	Port    int    // on 127.0.0.1; 0: a free one

	// Settings are lines of the server's configuration, beside those every server gets: a
	// binary log of whole rows with their names, GTIDs, utf8mb4, a server_id of its own,
	// listening on 127.0.0.1 only. The value "" takes a setting away.
	Settings map[string]string

	// Durable flushes the binary log and the tables at each commit (sync_binlog=1,
	// innodb_flush_log_at_trx_commit=1). Off, a server killed with Kill still loses nothing,
	// as the machine survives.
	Durable bool

	// Faketime is the offset of the server's clock, as for a Cluster.
	Faketime string
}

// MySQLServer is one MariaDB or MySQL server. It ends with this program, however that ends.
// Its methods may be called concurrently, but for those that start and stop it.
type MySQLServer struct {
	options   MySQLOptions
	id        identity
	programs  mysqlPrograms
	temporary bool
	process   *process
	paused    bool
}

// StartMySQL makes a server in options.Dir unless there is one, and starts it. It returns
// when the server accepts connections. ctx bounds only the starting. The caller closes it.
func StartMySQL(ctx context.Context, options MySQLOptions) (*MySQLServer, error) {
	id, err := serverIdentity()
	if err != nil {
		return nil, err
	}
	s := &MySQLServer{id: id}
	if s.programs, err = findMySQL(options.Product, id); err != nil {
		return nil, err
	}
	if options.Dir == "" {
		if options.Dir, err = os.MkdirTemp("", "concord-my-"); err != nil {
			return nil, fmt.Errorf("making a directory for a server: %w", err)
		}
		s.temporary = true
	}
	if options.Dir, err = filepath.Abs(options.Dir); err != nil {
		return nil, err
	}
	s.options = options
	if err := s.create(ctx); err != nil {
		s.removeTemporary()
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		s.removeTemporary()
		return nil, err
	}
	return s, nil
}

func (s *MySQLServer) removeTemporary() {
	if s.temporary {
		// What cannot be removed from the temporary directory hurts nobody.
		_ = os.RemoveAll(s.options.Dir)
	}
}

// Close kills the server and removes the directory if it was temporary.
func (s *MySQLServer) Close() error {
	var err error
	if s.Running() {
		err = s.Kill()
	}
	s.removeTemporary()
	return err
}

// Start starts a stopped or killed server again, on the same port, with recovery if it
// needs one. It returns when the server accepts connections.
func (s *MySQLServer) Start(ctx context.Context) error {
	if s.Running() {
		return fmt.Errorf("starting %s in %s: it is running", s.options.Product, s.options.Dir)
	}
	fixed := s.options.Port != 0
	for attempt := 0; ; attempt++ {
		if !fixed {
			port, err := FreePort()
			if err != nil {
				return err
			}
			s.options.Port = port
		}
		err := s.launch(ctx)
		if err == nil {
			return nil
		}
		// Another program may have taken the port between our look and the start.
		if !fixed && attempt < 5 && strings.Contains(s.LogTail(20), "Address already in use") {
			continue
		}
		return fmt.Errorf("starting %s in %s: %w\n%s", s.options.Product, s.options.Dir, err, s.LogTail(20))
	}
}

func (s *MySQLServer) launch(ctx context.Context) error {
	if err := s.writeSettings(); err != nil {
		return err
	}
	cmd, log, err := s.command(s.programs.server("--defaults-file=" + s.settingsFile())...)
	if err != nil {
		return err
	}
	defer log.Close()
	if s.options.Faketime != "" {
		environment, err := faketimeEnvironment(s.options.Faketime)
		if err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, environment...)
	}
	if s.process, err = launch(cmd, s.id, false); err != nil {
		return err
	}
	s.paused = false
	return s.awaitReady(ctx)
}

// awaitReady waits until the server greets who connects.
func (s *MySQLServer) awaitReady(ctx context.Context) error {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		if !s.process.running() {
			return errors.New("the server ended while starting")
		}
		if s.greets() {
			return nil
		}
		select {
		case <-ctx.Done():
			err := fmt.Errorf("waiting for the server to accept connections: %w", ctx.Err())
			return errors.Join(err, s.process.signalAll(syscall.SIGKILL))
		case <-poll.C:
		}
	}
}

// greets reports whether the first packet of a connection is a greeting of version 10 of
// the protocol: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
func (s *MySQLServer) greets() bool {
	conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	var head [5]byte // length, number, version
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	n, err := conn.Read(head[:])
	return err == nil && n == len(head) && head[4] == 10
}

// Stop stops the server in order and returns when it is gone. A server that does not stop
// before ctx ends is left as it is.
func (s *MySQLServer) Stop(ctx context.Context) error {
	if !s.Running() {
		return nil
	}
	if s.paused {
		if err := s.Resume(); err != nil {
			return err
		}
	}
	if err := s.process.signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.process.wait(ctx)
}

// Restart stops the server in order and starts it again.
func (s *MySQLServer) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Kill kills the server with SIGKILL, as a crash does, and returns when it is gone.
func (s *MySQLServer) Kill() error {
	if !s.Running() {
		return nil
	}
	if err := s.process.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return s.process.waitKilled()
}

// Pause stops the server in its tracks (SIGSTOP): its connections stay open and answer
// nothing. Resume lets it go on.
func (s *MySQLServer) Pause() error {
	s.paused = true
	if err := s.process.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return s.process.awaitStopped()
}

// Resume lets a paused server go on.
func (s *MySQLServer) Resume() error {
	s.paused = false
	return s.process.signal(syscall.SIGCONT)
}

// SetClock sets the offset of the server's clock (MySQLOptions.Faketime) for the next start.
func (s *MySQLServer) SetClock(offset string) { s.options.Faketime = offset }

// Set changes a setting for the next start; "" takes it away.
func (s *MySQLServer) Set(name, value string) {
	settings := map[string]string{name: value}
	for k, v := range s.options.Settings {
		if k != name {
			settings[k] = v
		}
	}
	s.options.Settings = settings
}

// Running reports whether the server's process exists.
func (s *MySQLServer) Running() bool { return s.process.running() }

// Product is which server it is.
func (s *MySQLServer) Product() Product { return s.options.Product }

// Dir is the directory of the server: data, log and socket.
func (s *MySQLServer) Dir() string { return s.options.Dir }

// Port is the server's port on 127.0.0.1. It stays the same over a restart.
func (s *MySQLServer) Port() int { return s.options.Port }

// Addr is the server's address, host:port.
func (s *MySQLServer) Addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.options.Port))
}

// DSN is the connection string of a database for root, who may do everything and needs no
// password.
func (s *MySQLServer) DSN(database string) string {
	return string(s.options.Product) + "://root@" + s.Addr() + "/" + database
}
