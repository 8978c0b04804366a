package testcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options say what server to start. The zero value is a server of the newest
// installed version for a test: in a temporary directory, on a free port, not
// flushing to disk.
type Options struct {
	Version int    // major version; 0: the newest installed
	Dir     string // data, log and socket; kept by Close. "": a temporary directory, removed by Close
	Port    int    // on 127.0.0.1; 0: a free one

	// Settings are lines of postgresql.conf, beside those every cluster gets:
	// wal_level=logical, listening on 127.0.0.1 only, room for 30 walsenders.
	Settings map[string]string

	// Fsync flushes to disk as in production. Off, a server killed with Kill still
	// loses nothing, as the machine survives; only the machine's crash would.
	Fsync bool

	// Faketime is the offset of the server's clock, as libfaketime writes it:
	// "+10m", "-3d", "+90s". "" is the true time.
	Faketime string

	Superuser string // the role initdb makes; "": postgres

	// Detach lets the server live on when this program ends; Open finds it again.
	// Otherwise it dies with this program, however that dies.
	Detach bool
}

// Cluster is one PostgreSQL server. Its methods may be called concurrently, but
// for those that start and stop it.
type Cluster struct {
	options   Options
	id        identity
	programs  string // directory
	temporary bool   // Dir is ours to remove
	process   *process
	paused    bool
	database  string // of DSN("")
}

// stateFile holds a cluster's Options, for Open.
const stateFile = "cluster.json"

// Start makes a cluster in options.Dir unless there is one, and starts it. It
// returns when the server accepts connections. ctx bounds only the starting. The
// caller closes the Cluster.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	c, err := prepare(options)
	if err != nil {
		return nil, err
	}
	if err := c.create(ctx); err != nil {
		c.removeTemporary()
		return nil, err
	}
	if err := c.Start(ctx); err != nil {
		c.removeTemporary()
		return nil, err
	}
	return c, nil
}

// Open finds the cluster that an earlier Start made in dir, running or not.
// fs.ErrNotExist when there is none.
func Open(dir string) (*Cluster, error) {
	state, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, fmt.Errorf("opening cluster %s: %w", dir, err)
	}
	var options Options
	if err := json.Unmarshal(state, &options); err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Join(dir, stateFile), err)
	}
	options.Dir = dir
	c, err := prepare(options)
	if err != nil {
		return nil, err
	}
	if pid, _, err := c.postmaster(); err == nil {
		if p := (&process{pid: pid}); p.running() {
			c.process = p
		}
	}
	return c, nil
}

// prepare resolves what the options leave open; it starts nothing.
func prepare(options Options) (*Cluster, error) {
	if options.Version == 0 {
		installed := Installed()
		if len(installed) == 0 {
			return nil, errors.New("finding PostgreSQL: none is installed: run scripts/install-servers.sh")
		}
		options.Version = installed[len(installed)-1]
	}
	if options.Superuser == "" {
		options.Superuser = "postgres"
	}
	id, err := serverIdentity()
	if err != nil {
		return nil, err
	}
	c := &Cluster{id: id, database: "postgres"}
	if options.Dir == "" {
		if options.Dir, err = os.MkdirTemp("", "concord-pg-"); err != nil {
			return nil, fmt.Errorf("making a directory for a cluster: %w", err)
		}
		c.temporary = true
	}
	if options.Dir, err = filepath.Abs(options.Dir); err != nil {
		return nil, err
	}
	c.options = options
	if c.programs, err = reachablePrograms(options.Version, id); err != nil {
		c.removeTemporary()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) removeTemporary() {
	if c.temporary {
		// What cannot be removed from the temporary directory hurts nobody.
		_ = os.RemoveAll(c.options.Dir)
	}
}

// Close kills the server, as Kill does, and removes the directory if it was temporary.
func (c *Cluster) Close() error {
	var err error
	if c.Running() {
		err = c.Kill()
	}
	c.removeTemporary()
	return err
}

// Start starts a stopped or killed server again, on the same port. Options and
// settings are as they were, changes by ALTER SYSTEM included. Like the function
// Start it returns when the server accepts connections.
func (c *Cluster) Start(ctx context.Context) error {
	if c.Running() {
		return fmt.Errorf("starting PostgreSQL %d in %s: it is running", c.options.Version, c.options.Dir)
	}
	fixed := c.options.Port != 0
	for attempt := 0; ; attempt++ {
		if !fixed {
			port, err := FreePort()
			if err != nil {
				return err
			}
			c.options.Port = port
		}
		err := c.launch(ctx)
		if err == nil {
			break
		}
		// Another program may have taken the port between our look and the start.
		if !fixed && attempt < 5 && strings.Contains(c.LogTail(20), "Address already in use") {
			continue
		}
		return fmt.Errorf("starting PostgreSQL %d in %s: %w\n%s", c.options.Version, c.options.Dir, err, c.LogTail(20))
	}
	return c.remember()
}

func (c *Cluster) launch(ctx context.Context) error {
	cmd, log, err := c.command(c.serverCommand()...)
	if err != nil {
		return err
	}
	defer log.Close()
	if c.options.Faketime != "" {
		environment, err := faketimeEnvironment(c.options.Faketime)
		if err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, environment...)
	}
	if c.process, err = launch(cmd, c.id, c.options.Detach); err != nil {
		return err
	}
	c.paused = false
	return c.awaitReady(ctx)
}

// awaitReady waits until the postmaster's own status says that it accepts
// connections, which needs no connection to be made.
func (c *Cluster) awaitReady(ctx context.Context) error {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		if !c.process.running() {
			return errors.New("the server ended while starting")
		}
		if pid, status, err := c.postmaster(); err == nil && pid == c.process.pid && (status == "ready" || status == "standby") {
			return nil
		}
		select {
		case <-ctx.Done():
			err := fmt.Errorf("waiting for the server to accept connections: %w", ctx.Err())
			return errors.Join(err, c.process.signalAll(syscall.SIGKILL))
		case <-poll.C:
		}
	}
}

// postmaster reads pid and status from the server's own lock file.
func (c *Cluster) postmaster() (pid int, status string, err error) {
	content, err := os.ReadFile(filepath.Join(c.dataDir(), "postmaster.pid"))
	if err != nil {
		return 0, "", err
	}
	lines := strings.Split(string(content), "\n")
	if pid, err = strconv.Atoi(strings.TrimSpace(lines[0])); err != nil {
		return 0, "", fmt.Errorf("reading postmaster.pid: %w", err)
	}
	if len(lines) >= 8 {
		status = strings.TrimSpace(lines[7])
	}
	return pid, status, nil
}

// Mode is how Stop stops a server.
type Mode uint8

// The modes, as pg_ctl has them.
const (
	Fast      Mode = iota // sessions end, a checkpoint is written; walsenders get to send all
	Immediate             // at once; recovery at the next start
)

// Stop stops the server and returns when it is gone. A server that does not stop
// before ctx ends is left as it is.
func (c *Cluster) Stop(ctx context.Context, mode Mode) error {
	if !c.Running() {
		return nil
	}
	if c.paused {
		if err := c.Resume(); err != nil {
			return err
		}
	}
	sig := syscall.SIGINT
	if mode == Immediate {
		sig = syscall.SIGQUIT
	}
	if err := c.process.signal(sig); err != nil {
		return err
	}
	return c.process.wait(ctx)
}

// Restart stops the server in Fast mode and starts it again.
func (c *Cluster) Restart(ctx context.Context) error {
	if err := c.Stop(ctx, Fast); err != nil {
		return err
	}
	return c.Start(ctx)
}

// Kill kills the server and all its processes with SIGKILL, as a crash does, and
// returns when they are gone. Start starts it again, with recovery.
func (c *Cluster) Kill() error {
	if !c.Running() {
		return nil
	}
	children, err := childrenOf(c.process.pid)
	if err != nil {
		return err
	}
	if err := c.process.signalAll(syscall.SIGKILL); err != nil {
		return err
	}
	if err := c.process.waitKilled(); err != nil {
		return err
	}
	// A child that is not gone yet would keep the next start from its memory.
	for _, pid := range children {
		if err := (&process{pid: pid}).waitKilled(); err != nil {
			return err
		}
	}
	return nil
}

// Pause stops all of the server's processes in their tracks (SIGSTOP): its
// connections stay open and answer nothing.
func (c *Cluster) Pause() error {
	c.paused = true
	if err := c.process.signalAll(syscall.SIGSTOP); err != nil {
		return err
	}
	children, err := childrenOf(c.process.pid)
	if err != nil {
		return err
	}
	for _, pid := range append(children, c.process.pid) {
		if err := (&process{pid: pid}).awaitStopped(); err != nil {
			return err
		}
	}
	return nil
}

// Resume lets a paused server go on.
func (c *Cluster) Resume() error {
	c.paused = false
	children, err := childrenOf(c.process.pid)
	if err != nil {
		return err
	}
	for _, pid := range children {
		if err := (&process{pid: pid}).signal(syscall.SIGCONT); err != nil {
			return err
		}
	}
	return c.process.signal(syscall.SIGCONT)
}

// SetClock sets the offset of the server's clock (Options.Faketime) for the next
// start.
func (c *Cluster) SetClock(offset string) { c.options.Faketime = offset }

// Running reports whether the server's main process exists.
func (c *Cluster) Running() bool { return c.process.running() }

// Version is the server's major version.
func (c *Cluster) Version() int { return c.options.Version }

// Dir is the directory of the cluster: data, log and socket.
func (c *Cluster) Dir() string { return c.options.Dir }

// Port is the server's port on 127.0.0.1. It stays the same over a restart.
func (c *Cluster) Port() int { return c.options.Port }

// Addr is the server's address, host:port.
func (c *Cluster) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.options.Port)) }

// Superuser is the role that owns the cluster; it needs no password, nor does any
// other role.
func (c *Cluster) Superuser() string { return c.options.Superuser }

// Database is the database of DSN(""): the test's own for a Cluster of ForTest,
// else "postgres".
func (c *Cluster) Database() string { return c.database }

// DSN is the connection string of a database for the superuser; "" is Database().
func (c *Cluster) DSN(database string) string { return c.DSNFor(c.options.Superuser, database) }

// DSNFor is DSN for another role.
func (c *Cluster) DSNFor(role, database string) string {
	if database == "" {
		database = c.database
	}
	dsn := url.URL{Scheme: "postgres", User: url.User(role), Host: c.Addr(), Path: "/" + database, RawQuery: "sslmode=disable"}
	return dsn.String()
}
