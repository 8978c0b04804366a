package testcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func (c *Cluster) dataDir() string { return filepath.Join(c.options.Dir, "data") }

// LogFile is the path of the server's log.
func (c *Cluster) LogFile() string { return filepath.Join(c.options.Dir, "server.log") }

// LogTail returns the last lines of the server's log, for a failure's message.
func (c *Cluster) LogTail(lines int) string {
	content, err := os.ReadFile(c.LogFile())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// create makes the cluster's files unless they are there, and writes its settings.
func (c *Cluster) create(ctx context.Context) error {
	if err := os.MkdirAll(c.options.Dir, 0o755); err != nil {
		return fmt.Errorf("making a directory for a cluster: %w", err)
	}
	if err := c.id.own(c.options.Dir); err != nil {
		return fmt.Errorf("giving the cluster's directory to %s: %w", c.id.name, err)
	}
	if err := c.id.reach(c.options.Dir); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.dataDir(), "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		if err := c.initdb(ctx); err != nil {
			return err
		}
	}
	return c.writeSettings()
}

func (c *Cluster) initdb(ctx context.Context) error {
	cmd, log, err := c.command(filepath.Join(c.programs, "initdb"),
		"-D", c.dataDir(), "-U", c.options.Superuser, "-A", "trust",
		"-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	if err != nil {
		return err
	}
	defer log.Close()
	p, err := launch(cmd, c.id, false)
	if err != nil {
		return fmt.Errorf("running initdb: %w", err)
	}
	if err := p.wait(ctx); err != nil {
		return errors.Join(fmt.Errorf("running initdb: %w", err), p.signal(syscall.SIGKILL))
	}
	if !cmd.ProcessState.Success() {
		return fmt.Errorf("running initdb: %s\n%s", cmd.ProcessState, c.LogTail(20))
	}
	conf := filepath.Join(c.dataDir(), "postgresql.conf")
	file, err := os.OpenFile(conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("writing the cluster's settings: %w", err)
	}
	_, err = file.WriteString("\ninclude 'concord.conf'\n")
	return errors.Join(err, file.Close())
}

// writeSettings writes the file that postgresql.conf includes. Not the command
// line, which would overrule ALTER SYSTEM.
func (c *Cluster) writeSettings() error {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": c.socketDir(),
		"wal_level":               "logical",
		"max_wal_senders":         "30",
		"max_replication_slots":   "60",
		"max_connections":         "100",
		"log_line_prefix":         "%m [%p] %q%u@%d ",
		"log_timezone":            "UTC",
	}
	if c.options.Version >= 18 {
		settings["max_active_replication_origins"] = "60"
	}
	if !c.options.Fsync {
		settings["fsync"] = "off"
		settings["full_page_writes"] = "off"
	}
	maps.Copy(settings, c.options.Settings)
	var conf strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	path := filepath.Join(c.dataDir(), "concord.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		return fmt.Errorf("writing the cluster's settings: %w", err)
	}
	return c.id.own(path)
}

// socketDir is the cluster's directory, but none where a socket's path in it would
// be longer than the system allows.
func (c *Cluster) socketDir() string {
	const limit = 107 - len("/.s.PGSQL.65535")
	if len(c.options.Dir) > limit {
		return ""
	}
	return c.options.Dir
}

func (c *Cluster) serverCommand() []string {
	return []string{filepath.Join(c.programs, "postgres"), "-D", c.dataDir(), "-p", fmt.Sprint(c.options.Port)}
}

// command prepares a program whose output goes to the log, which the caller closes
// when it runs.
func (c *Cluster) command(arguments ...string) (*exec.Cmd, *os.File, error) {
	log, err := os.OpenFile(c.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the server's log: %w", err)
	}
	// A context would end the server with itself: it ends when told to.
	cmd := exec.Command(arguments[0], arguments[1:]...)
	cmd.Dir = c.options.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	return cmd, log, nil
}

// remember writes the options for Open.
func (c *Cluster) remember() error {
	state, err := json.MarshalIndent(c.options, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(c.options.Dir, stateFile)
	if err := os.WriteFile(path, state, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// faketimeEnvironment makes a program see a clock that is off. Monotonic clocks
// stay true: they time waits, not history.
func faketimeEnvironment(offset string) ([]string, error) {
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	if err != nil || len(found) == 0 {
		return nil, errors.New("finding libfaketimeMT.so.1: it is not installed: run scripts/install-servers.sh")
	}
	return []string{"LD_PRELOAD=" + found[0], "FAKETIME=" + offset, "FAKETIME_DONT_FAKE_MONOTONIC=1"}, nil
}
