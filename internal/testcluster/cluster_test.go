package testcluster_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/concord-db/concord/internal/testcluster"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("CONCORD_TEST_ABANDON"); dir != "" {
		abandon(dir)
	}
	goleak.VerifyTestMain(testcluster.Main(m))
}

func connect(t *testing.T, c *testcluster.Cluster) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.DSN(""))
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func query[V any](t *testing.T, conn *pgx.Conn, sql string, arguments ...any) V {
	t.Helper()
	var v V
	if err := conn.QueryRow(t.Context(), sql, arguments...).Scan(&v); err != nil {
		t.Fatalf("querying %q: %v", sql, err)
	}
	return v
}

func exec1(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("executing %q: %v", sql, err)
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestEachVersionRunsWithLogicalWAL(t *testing.T) {
	for _, version := range testcluster.Versions(t) {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			conn := connect(t, testcluster.ForTest(t, testcluster.Options{Version: version}))
			if got := query[int](t, conn, "SELECT current_setting('server_version_num')::int / 10000"); got != version {
				t.Errorf("server version = %d, want %d", got, version)
			}
			for setting, want := range map[string]string{"wal_level": "logical", "fsync": "off", "synchronous_commit": "on", "server_encoding": "UTF8"} {
				if got := query[string](t, conn, "SELECT current_setting($1)", setting); got != want {
					t.Errorf("%s = %s, want %s", setting, got, want)
				}
			}
		})
	}
}

func TestTestsShareAServerButNotADatabase(t *testing.T) {
	one := testcluster.ForTest(t, testcluster.Options{Version: 15})
	two := testcluster.ForTest(t, testcluster.Options{Version: 15})
	if one.Port() != two.Port() {
		t.Errorf("ports %d and %d: two servers", one.Port(), two.Port())
	}
	if one.Database() == two.Database() {
		t.Errorf("both have database %s", one.Database())
	}
}

func TestAnEndedTestLeavesNothing(t *testing.T) {
	var database string
	c := testcluster.ForTest(t, testcluster.Options{Version: 15})
	t.Run("inner", func(t *testing.T) {
		inner := testcluster.ForTest(t, testcluster.Options{Version: 15})
		database = inner.Database()
		conn := connect(t, inner)
		exec1(t, conn, "SELECT pg_create_logical_replication_slot('left_behind', 'pgoutput')")
	})
	conn := connect(t, c)
	if query[bool](t, conn, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database) {
		t.Errorf("database %s is still there", database)
	}
	if query[bool](t, conn, "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'left_behind')") {
		t.Error("the slot is still there")
	}
}

func TestSettingsReachTheServerAndBowToAlterSystem(t *testing.T) {
	c := testcluster.Own(t, testcluster.Options{Version: 18, Fsync: true, Settings: map[string]string{"work_mem": "7MB", "cluster_name": "it's mine"}})
	conn := connect(t, c)
	for setting, want := range map[string]string{"work_mem": "7MB", "cluster_name": "it's mine", "fsync": "on"} {
		if got := query[string](t, conn, "SELECT current_setting($1)", setting); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	exec1(t, conn, "ALTER SYSTEM SET work_mem = '9MB'")
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query[string](t, connect(t, c), "SELECT current_setting('work_mem')"); got != "9MB" {
		t.Errorf("work_mem after ALTER SYSTEM and a restart = %s, want 9MB", got)
	}
}

func TestAKilledServerComesBackWithWhatWasCommitted(t *testing.T) {
	for _, version := range testcluster.Versions(t) {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			c := testcluster.Own(t, testcluster.Options{Version: version})
			port := c.Port()
			conn := connect(t, c)
			exec1(t, conn, "CREATE TABLE kept AS SELECT 1 AS n")
			backend := query[int](t, conn, "SELECT pg_backend_pid()")
			if err := c.Kill(); err != nil {
				t.Fatal(err)
			}
			if c.Running() {
				t.Error("the server runs after Kill")
			}
			if syscall.Kill(backend, 0) == nil && !zombie(backend) {
				t.Error("its backend lives")
			}
			if err := c.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.Port() != port {
				t.Errorf("port = %d after the restart, want %d", c.Port(), port)
			}
			if got := query[int](t, connect(t, c), "SELECT n FROM kept"); got != 1 {
				t.Errorf("n = %d, want 1", got)
			}
			if !strings.Contains(c.LogTail(100), "not properly shut down") {
				t.Error("the log tells of no recovery: was it a crash?")
			}
		})
	}
}

func TestAPausedServerIsSilentUntilResumed(t *testing.T) {
	c := testcluster.Own(t, testcluster.Options{Version: 18})
	conn := connect(t, c)
	if err := c.Pause(); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT 1")
		answer <- err
	}()
	select {
	case err := <-answer:
		t.Fatalf("a paused server answered (%v)", err)
	case <-time.After(200 * time.Millisecond):
	}
	if err := c.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

func TestTheClockIsOffAsAsked(t *testing.T) {
	for _, version := range testcluster.Versions(t) {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			c := testcluster.Own(t, testcluster.Options{Version: version, Faketime: "+10m"})
			offset := func() time.Duration {
				return time.Until(query[time.Time](t, connect(t, c), "SELECT clock_timestamp()")).Round(time.Minute)
			}
			if got := offset(); got != 10*time.Minute {
				t.Errorf("offset = %s, want 10m", got)
			}
			c.SetClock("-3h")
			if err := c.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := offset(); got != -3*time.Hour {
				t.Errorf("offset = %s, want -3h", got)
			}
		})
	}
}

func TestADetachedServerIsFoundAgain(t *testing.T) {
	dir := openDir(t)
	started, err := testcluster.Start(t.Context(), testcluster.Options{Version: 15, Dir: dir, Detach: true, Superuser: "owner"})
	if err != nil {
		t.Fatal(err)
	}
	found, err := testcluster.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := found.Close(); err != nil {
			t.Error(err)
		}
	}()
	if !found.Running() || found.DSN("") != started.DSN("") {
		t.Fatalf("found running=%t %s, want %s", found.Running(), found.DSN(""), started.DSN(""))
	}
	if err := found.Start(t.Context()); err == nil {
		t.Error("a running server was started again")
	}
	if err := found.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed server is seen by who started it", func() bool { return !started.Running() })
	if err := found.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query[string](t, connect(t, found), "SELECT current_user::text"); got != "owner" {
		t.Errorf("user = %s, want owner", got)
	}
	if err := found.Stop(t.Context(), testcluster.Fast); err != nil {
		t.Fatal(err)
	}
	if found.Running() {
		t.Error("the server runs after Stop")
	}
}

func TestNothingToOpen(t *testing.T) {
	if _, err := testcluster.Open(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening an empty directory: %v, want fs.ErrNotExist", err)
	}
}

// A server dies with the program that started it, even one that is killed.
func TestAServerDoesNotOutliveItsProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := openDir(t)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "CONCORD_TEST_ABANDON="+dir)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ready string
	if _, err := fmt.Fscanln(output, &ready); err != nil || ready != "ready" {
		t.Fatalf("the program says %q (%v), want ready", ready, err)
	}
	c, err := testcluster.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Running() {
		t.Fatal("the server does not run")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the server has gone", func() bool { return !c.Running() })
}

// abandon is the program of TestAServerDoesNotOutliveItsProgram.
func abandon(dir string) {
	if _, err := testcluster.Start(context.Background(), testcluster.Options{Version: 15, Dir: dir}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

func TestAMissingVersionNamesTheRemedy(t *testing.T) {
	if _, err := testcluster.Programs(7); err == nil || !strings.Contains(err.Error(), "scripts/install-servers.sh") {
		t.Errorf("finding PostgreSQL 7: %v, want the script's name in it", err)
	}
	t.Setenv("CONCORD_POSTGRES_15", t.TempDir())
	if _, err := testcluster.Programs(15); err == nil || !strings.Contains(err.Error(), "CONCORD_POSTGRES_15") {
		t.Errorf("an empty CONCORD_POSTGRES_15: %v, want its name in it", err)
	}
}

func TestClientProgramsAreFound(t *testing.T) {
	for _, name := range []string{"psql", "pgbench"} {
		if _, err := testcluster.Tool(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := testcluster.Tool("no-such-program"); err == nil {
		t.Error("a program that does not exist was found")
	}
}

func TestAPrivateDirectoryIsRefusedByName(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root lends its servers another identity; nothing to refuse")
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := testcluster.Reachable(dir + "/below")
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("reaching below a private directory: %v, want its name", err)
	}
}

// openDir is t.TempDir where another user may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "testcluster-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}
