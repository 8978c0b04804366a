package testcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// T is the part of testing.TB that this package uses; so it can be linked into a
// program without the testing package.
type T interface {
	Helper()
	Name() string
	Cleanup(func())
	Failed() bool
	Logf(format string, arguments ...any)
	Fatalf(format string, arguments ...any)
	Errorf(format string, arguments ...any)
}

// Versions are the PostgreSQL versions every engine test runs on: the oldest and
// the newest supported. A version that is not installed fails the test.
func Versions(t T) []int {
	t.Helper()
	versions := []int{15, 18}
	for _, version := range versions {
		if _, err := Programs(version); err != nil {
			t.Fatalf("%v", err)
		}
	}
	return versions
}

// startTimeout bounds a start in a test, on a machine with much else to do.
const startTimeout = 2 * time.Minute

// shared are the servers that ForTest has started in this test binary, by version.
var shared struct {
	sync.Mutex
	clusters map[int]*Cluster
}

// databases numbers the databases of this test binary.
var databases atomic.Int64

// ForTest returns the server of the given version that all tests of this package
// share, started at the first call, with a new database for this test: Database()
// and DSN(""). The database goes when the test ends, with the slots in it. Replication
// origins and roles belong to the whole server: tests that run in parallel name
// theirs apart.
//
// Only Version may be set in options: what needs more needs a server of its own.
// The package's TestMain must run Main, which stops the shared servers.
func ForTest(t T, options Options) *Cluster {
	t.Helper()
	server, err := sharedServer(options)
	if err != nil {
		t.Fatalf("starting a database server for the test: %v", err)
	}
	c := *server
	c.database = databaseName(t.Name())
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := c.CreateDatabase(ctx, c.database); err != nil {
		t.Fatalf("making a database for the test: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		if err := c.DropDatabase(ctx, c.database); err != nil {
			t.Errorf("removing the test's database: %v", err)
		}
	})
	return &c
}

// Own returns a server for this test alone, stopped and removed when the test ends.
func Own(t T, options Options) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := Start(ctx, options)
	if err != nil {
		t.Fatalf("starting a database server for the test: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of the PostgreSQL %d in %s ends:\n%s", c.Version(), c.Dir(), c.LogTail(40))
		}
		if err := c.Close(); err != nil {
			t.Errorf("closing the test's database server: %v", err)
		}
	})
	return c
}

func sharedServer(options Options) (*Cluster, error) {
	if options.Dir != "" || options.Port != 0 || options.Settings != nil || options.Faketime != "" || options.Superuser != "" || options.Detach {
		return nil, errors.New("a shared server has no options but its version: use Own")
	}
	shared.Lock()
	defer shared.Unlock()
	if c := shared.clusters[options.Version]; c != nil {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := Start(ctx, options)
	if err != nil {
		return nil, err
	}
	if shared.clusters == nil {
		shared.clusters = map[int]*Cluster{}
	}
	shared.clusters[options.Version] = c
	return c, nil
}

// databaseName makes a short name that tells which test it belongs to.
func databaseName(test string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, test)
	return fmt.Sprintf("t%d_%.40s", databases.Add(1), clean)
}

// Runner is what testing.M is to a TestMain.
type Runner interface{ Run() int }

// Main wraps a test binary's tests so that the shared servers are stopped when they
// are done:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(testcluster.Main(m)) }
//	func TestMain(m *testing.M) { os.Exit(testcluster.Main(m).Run()) }
func Main(tests Runner) Runner { return runner{tests} }

type runner struct{ tests Runner }

// Run runs the tests and returns their exit code; 1 when only the stopping failed.
func (r runner) Run() int {
	code := r.tests.Run()
	shared.Lock()
	defer shared.Unlock()
	for version, c := range shared.clusters {
		if err := c.Close(); err != nil {
			fmt.Fprintf(os.Stderr, "stopping the shared PostgreSQL %d: %v\n", version, err)
			code = max(code, 1)
		}
	}
	shared.clusters = nil
	return code
}
