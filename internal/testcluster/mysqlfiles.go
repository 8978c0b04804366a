package testcluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

func (s *MySQLServer) dataDir() string      { return filepath.Join(s.options.Dir, "data") }
func (s *MySQLServer) settingsFile() string { return filepath.Join(s.options.Dir, "my.cnf") }

// LogFile is the path of the server's error log.
func (s *MySQLServer) LogFile() string { return filepath.Join(s.options.Dir, "server.log") }

// LogTail returns the last lines of the server's log, for a failure's message.
func (s *MySQLServer) LogTail(lines int) string {
	content, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// create makes the server's files unless they are there.
func (s *MySQLServer) create(ctx context.Context) error {
	if err := os.MkdirAll(s.options.Dir, 0o755); err != nil {
		return fmt.Errorf("making a directory for a server: %w", err)
	}
	if err := s.id.own(s.options.Dir); err != nil {
		return fmt.Errorf("giving the server's directory to %s: %w", s.id.name, err)
	}
	if err := s.id.reach(s.options.Dir); err != nil {
		return err
	}
	if exists(s.dataDir()) {
		return nil
	}
	template, err := s.template(ctx)
	if err != nil {
		return err
	}
	if err := inPlace(s.dataDir(), func(work string) error { return os.CopyFS(work, os.DirFS(template)) }); err != nil {
		return err
	}
	return filepath.WalkDir(s.dataDir(), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, s.id.own(path))
	})
}

// template is a data directory that nobody has used, made once for an installation: making
// one takes seconds, copying it does not. It has no server UUID, so that no two servers
// have the same.
func (s *MySQLServer) template(ctx context.Context) (string, error) {
	who := strconv.Itoa(os.Geteuid())
	to := filepath.Join(os.TempDir(), fmt.Sprintf("concord-%s-data-%s-%s", s.options.Product, s.programs.name, who))
	if exists(to) {
		return to, nil
	}
	return to, inPlace(to, func(work string) error {
		if err := s.id.own(work); err != nil {
			return err
		}
		data := filepath.Join(work, "new")
		setup := filepath.Join(work, "setup.sql")
		if err := os.WriteFile(setup, []byte(mysqlSetup), 0o644); err != nil {
			return err
		}
		line := s.programs.server("--no-defaults", "--initialize-insecure", "--datadir="+data, "--init-file="+setup, "--innodb-redo-log-capacity=8M")
		if s.options.Product == MariaDB {
			line = append(slices.Clone(s.programs.make), "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=8M")
		}
		if err := s.runOnce(ctx, line); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(data, "auto.cnf")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return errors.Join(os.Remove(setup), moveUp(work, data))
	})
}

// mysqlSetup lets root in over TCP: with skip-name-resolve 127.0.0.1 is not localhost.
const mysqlSetup = "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';\nGRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"

// moveUp moves what is in from, a directory in to, to to.
func moveUp(to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(from)
}

// runOnce runs a program to its end.
func (s *MySQLServer) runOnce(ctx context.Context, line []string) error {
	cmd, log, err := s.command(line...)
	if err != nil {
		return err
	}
	defer log.Close()
	p, err := launch(cmd, s.id, false)
	if err != nil {
		return fmt.Errorf("running %s: %w", filepath.Base(line[0]), err)
	}
	if err := p.wait(ctx); err != nil {
		return errors.Join(fmt.Errorf("running %s: %w", filepath.Base(line[0]), err), p.signal(syscall.SIGKILL))
	}
	if !cmd.ProcessState.Success() {
		return fmt.Errorf("running %s: %s\n%s", filepath.Base(line[0]), cmd.ProcessState, s.LogTail(20))
	}
	return nil
}

// writeSettings writes the server's configuration.
func (s *MySQLServer) writeSettings() error {
	settings := map[string]string{
		"datadir":                        s.dataDir(),
		"socket":                         s.socket(),
		"tmpdir":                         s.options.Dir, // a server that starts deletes what others have left in it
		"pid-file":                       filepath.Join(s.options.Dir, "server.pid"),
		"port":                           strconv.Itoa(s.options.Port),
		"bind-address":                   "127.0.0.1",
		"skip-name-resolve":              "ON",
		"server-id":                      strconv.Itoa(s.options.Port),
		"log-bin":                        "binlog",
		"binlog-row-image":               "FULL",
		"binlog-row-metadata":            "FULL",
		"character-set-server":           "utf8mb4",
		"innodb-buffer-pool-size":        "64M",
		"sync-binlog":                    "0",
		"innodb-flush-log-at-trx-commit": "2", // a killed server loses nothing
	}
	if s.options.Durable {
		settings["sync-binlog"], settings["innodb-flush-log-at-trx-commit"] = "1", "1"
	}
	switch s.options.Product {
	case MariaDB:
		settings["binlog-format"] = "ROW"
		settings["gtid-strict-mode"] = "ON"
		settings["log-slave-updates"] = "ON"
		settings["innodb-log-file-size"] = "32M"
	case MySQL:
		settings["gtid-mode"] = "ON"
		settings["enforce-gtid-consistency"] = "ON"
		settings["mysqlx"] = "OFF"
		settings["secure-file-priv"] = "NULL"
		settings["innodb-redo-log-capacity"] = "32M"
	}
	maps.Copy(settings, s.options.Settings)
	conf := "[mysqld]\n"
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if settings[name] != "" {
			conf += name + "=" + settings[name] + "\n"
		}
	}
	if err := os.WriteFile(s.settingsFile(), []byte(conf), 0o644); err != nil {
		return fmt.Errorf("writing the server's settings: %w", err)
	}
	return nil
}

// socket is in the server's directory, but elsewhere where its path would be longer than
// the system allows.
func (s *MySQLServer) socket() string {
	const limit = 107 - len("/socket")
	if len(s.options.Dir) > limit {
		return filepath.Join(os.TempDir(), fmt.Sprintf("concord-my-%d.socket", s.options.Port))
	}
	return filepath.Join(s.options.Dir, "socket")
}

// command prepares a program whose output goes to the log, which the caller closes when it
// runs.
func (s *MySQLServer) command(line ...string) (*exec.Cmd, *os.File, error) {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the server's log: %w", err)
	}
	// A context would end the server with itself: it ends when told to.
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = s.options.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + s.options.Dir}
	return cmd, log, nil
}
