package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The servers that the tests of this package share: a MariaDB and a MySQL, each started
// when a test first asks for it, in a directory of its own. They end with the process.

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range servers {
		s.stop()
	}
	os.Exit(code)
}

// eachServer runs a test on each, with the dsn of an administrator. A server that is not
// installed fails it.
func eachServer(t *testing.T, f func(t *testing.T, dsn string)) {
	for _, s := range servers {
		t.Run(string(s.flavor), func(t *testing.T) {
			if s.start.Do(func() { s.err = s.launch() }); s.err != nil {
				t.Fatalf("starting %s: %v", s.flavor.name(), s.err)
			}
			f(t, fmt.Sprintf("%s://admin:adm@127.0.0.1:%d/", s.flavor, s.port))
		})
	}
}

var servers = []*server{{flavor: mariaDB}, {flavor: mySQL}}

type server struct {
	flavor flavor
	start  sync.Once
	err    error
	dir    string
	port   int
	end    context.CancelFunc
	ended  chan struct{}
}

// programs are how to make the data directory and how to run the server.
func (s *server) programs() (initialise, run []string, err error) {
	if s.flavor == mariaDB {
		dir := os.Getenv("CONCORD_MARIADB")
		path := os.Getenv("PATH") + ":/usr/sbin"
		if dir != "" {
			path = dir
		}
		find := func(name string) string {
			for _, d := range filepath.SplitList(path) {
				if _, err := os.Stat(filepath.Join(d, name)); err == nil {
					return filepath.Join(d, name)
				}
			}
			err = errors.Join(err, fmt.Errorf("%s is not found: run scripts/install-servers.sh", name))
			return name
		}
		initialise = []string{find("mariadb-install-db"), "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"}
		return initialise, []string{find("mariadbd"), "--no-defaults", "--gtid-strict-mode=1", "--log-slave-updates=1"}, err
	}
	dir := os.Getenv("CONCORD_MYSQL")
	if dir == "" {
		dir = "../../../.cache/mysql-9"
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "bin", "mysqld")); err != nil {
		return nil, nil, fmt.Errorf("%w: run scripts/install-servers.sh, or set CONCORD_MYSQL", err)
	}
	run = []string{
		filepath.Join(dir, "lib", "ld-linux-x86-64.so.2"), "--library-path", filepath.Join(dir, "lib"), filepath.Join(dir, "bin", "mysqld"), "--no-defaults",
		"--basedir=" + dir, "--lc-messages-dir=" + filepath.Join(dir, "share"), "--character-sets-dir=" + filepath.Join(dir, "share", "charsets"),
		"--plugin-dir=" + filepath.Join(dir, "plugin"), "--secure-file-priv=NULL", "--mysqlx=OFF",
	}
	initialise = append(run[:len(run):len(run)], "--initialize-insecure")
	return initialise, append(run, "--gtid-mode=ON", "--enforce-gtid-consistency=ON"), nil
}

// launch makes a server and returns when it can be used.
func (s *server) launch() error {
	initialise, run, err := s.programs()
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "concord-"+string(s.flavor)+"-"); err != nil {
		return err
	}
	as, err := unprivileged(s.dir)
	if err != nil {
		return err
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	accounts := filepath.Join(s.dir, "accounts.sql")
	if err := os.WriteFile(accounts, []byte("CREATE USER IF NOT EXISTS admin@'%' IDENTIFIED BY 'adm';\nGRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;\n"), 0o644); err != nil {
		return err
	}
	data := "--datadir=" + filepath.Join(s.dir, "data")
	cmd := exec.Command(initialise[0], append(initialise[1:], data, "--log-error="+filepath.Join(s.dir, "init.err"))...)
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making the data directory: %w: %s", err, out)
	}
	run = append(run, data, "--socket="+filepath.Join(s.dir, "socket"), "--pid-file="+filepath.Join(s.dir, "pid"), "--log-error="+filepath.Join(s.dir, "log.err"),
		"--port="+strconv.Itoa(s.port), "--bind-address=127.0.0.1", "--init-file="+accounts, "--server-id=1", "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-metadata=FULL",
		"--innodb-buffer-pool-size=64M", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=64M")
	ctx, cancel := context.WithCancel(context.Background())
	s.end, s.ended = cancel, make(chan struct{})
	started := make(chan error, 1)
	go func() {
		defer close(s.ended)
		// The kernel sends the signal when the thread ends that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.CommandContext(ctx, run[0], run[1:]...)
		cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: as, Setpgid: true, Pdeathsig: syscall.SIGKILL}
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	return s.ready()
}

// ready waits until the administrator can log in.
func (s *server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	db := New(fmt.Sprintf("%s://admin:adm@127.0.0.1:%d/", s.flavor, s.port), Options{Site: "none"})
	for {
		c, err := db.connect(ctx, roleAdmin)
		if err == nil {
			c.close()
			return nil
		}
		select {
		case <-tick.C:
		case <-s.ended:
			log, _ := os.ReadFile(filepath.Join(s.dir, "log.err")) // none says the same
			return fmt.Errorf("it has ended: %s", log)
		case <-ctx.Done():
			return fmt.Errorf("it was not ready in time: %w", err)
		}
	}
}

func (s *server) stop() {
	if s.end != nil {
		s.end()
		<-s.ended
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// unprivileged gives a directory to the user that servers run as; nil is the own one.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(nobody.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
