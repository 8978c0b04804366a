package demo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/concord-db/concord/internal/demo"
)

// concord is the program, built once.
var concord string

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(runner{m})
}

type runner struct{ m *testing.M }

func (r runner) Run() int {
	dir, err := os.MkdirTemp("", "concord-demo-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer os.RemoveAll(dir)
	concord = filepath.Join(dir, "concord")
	if out, err := exec.Command("go", "build", "-o", concord, "github.com/concord-db/concord/cmd/concord").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building concord: %v\n%s", err, out)
		return 2
	}
	return r.m.Run()
}

// output is what the demo says; it may be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// running is a demo in its own goroutine.
type running struct {
	o      demo.Options
	out    *output
	client *demo.Client
	end    context.CancelFunc
	done   chan struct{}
	result demo.Verdict
	err    error
}

// play starts a demo and returns when it takes orders.
func play(t *testing.T, dir string, db demo.Databases) *running {
	t.Helper()
	r := &running{out: &output{}, done: make(chan struct{})}
	r.o = demo.Options{Dir: dir, DB: db, Program: concord, Rate: 60, Out: r.out}
	ctx, cancel := context.WithCancel(t.Context())
	r.end = cancel
	go func() {
		defer close(r.done)
		r.result, r.err = demo.Run(ctx, t.Context(), r.o)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
		if t.Failed() {
			t.Logf("the demo said:\n%s", r.out)
		}
	})
	for deadline := time.Now().Add(2 * time.Minute); ; {
		var err error
		if r.client, err = demo.Open(dir); err == nil {
			return r
		}
		select {
		case <-r.done:
			t.Fatalf("the demo ended: %v", r.err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the demo does not start: %v", err)
		}
	}
}

func (r *running) finish(t *testing.T) {
	t.Helper()
	r.end()
	<-r.done
}

// shared makes a directory that the account of a server can reach.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "concord-demo-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "demo")
}

func TestADemoFromStartToVerdict(t *testing.T) {
	for db, table := range map[demo.Databases]string{
		demo.Postgres: "public.customers", demo.MariaDB: "shop.customers", demo.MySQL: "shop.customers", demo.Mixed: "public.customers",
	} {
		t.Run(string(db), func(t *testing.T) { playToTheEnd(t, db, table) })
	}
}

func playToTheEnd(t *testing.T, db demo.Databases, table string) {
	dir := shared(t)
	if _, err := demo.Open(dir); !errors.Is(err, demo.ErrNotRunning) {
		t.Fatalf("Open before the start: %v", err)
	}
	r := play(t, dir, db)

	if _, err := demo.Run(t.Context(), t.Context(), r.o); err == nil || !strings.Contains(err.Error(), "running") {
		t.Errorf("a second demo in the same directory: %v; want it refused", err)
	}
	var clashes bytes.Buffer
	if err := r.client.Conflict(t.Context(), &clashes); err != nil {
		t.Errorf("conflict: %v\n%s", err, &clashes)
	}
	// Which of the two writes is the newer decides whether it is an update that met a
	// delete or a delete that met an update; both sites name it the same way.
	for _, kinds := range [][]string{
		{"has on_hand 103; recorded: update_origin_differs, by columns{"},
		{"has city Mumbai, name Pune; recorded: update_origin_differs, by columns{"},
		{"recorded: multiple_unique_conflicts, by columns{"},
		{"has status shipped; recorded: update_origin_differs, by orders.star:order_status"},
		{"delete_origin_differs, by delete_wins", "update_deleted, by delete_wins"},
	} {
		named := false
		for _, kind := range kinds {
			named = named || strings.Count(clashes.String(), kind) == 2
		}
		if !named {
			t.Errorf("none of %q is recorded at both sites:\n%s", kinds, &clashes)
		}
	}
	if err := r.client.Kill(t.Context(), "pune", false); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Kill(t.Context(), "pune", false); err == nil || !strings.Contains(err.Error(), "demo start pune") {
		t.Errorf("killing it again: %v; want the remedy", err)
	}
	if err := r.client.Start(t.Context(), "pune", false); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Kill(t.Context(), "mumbai", true); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Start(t.Context(), "mumbai", true); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Kill(t.Context(), "nashik", false); err == nil || !strings.Contains(err.Error(), "mumbai and pune") {
		t.Errorf("a site that is not there: %v", err)
	}
	var bulk bytes.Buffer
	for site, rows := range map[string]int{"pune": 2000, "mumbai": 1000} {
		if err := r.client.Load(t.Context(), &bulk, site, rows); err != nil {
			t.Fatalf("many rows, of %s: %v", site, err)
		}
	}
	v, err := r.client.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !v.Equal() || v.Tables[0].Table != table || v.Tables[0].Rows[0] < 3500 {
		t.Errorf("verdict %+v; want both equal, with the 3000 rows", v)
	}
	r.finish(t)
	if r.err != nil || !r.result.Equal() || r.result.Conflicts[0] < 5 || r.result.Conflicts[1] < 5 {
		t.Errorf("the end: %v, %+v; want equal sides with the five conflicts at least", r.err, r.result)
	}
	if !strings.Contains(r.out.String(), "verdict: equal") {
		t.Error("the verdict was not printed")
	}
	if _, err := demo.Open(dir); !errors.Is(err, demo.ErrNotRunning) {
		t.Errorf("Open after the end: %v", err)
	}
}

func TestADifferenceIsFoundAndTheDirectoryUsedAgain(t *testing.T) {
	dir := shared(t)
	for round := range 2 {
		began := time.Now()
		r := play(t, dir, demo.Postgres)
		t.Logf("start %d took %s", round+1, time.Since(began))
		state, err := demo.ReadState(dir)
		if err != nil {
			t.Fatal(err)
		}
		// A table that nobody replicates: only a comparison notices.
		for i, s := range state.Sites {
			conn, err := pgx.Connect(t.Context(), s.DSN)
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Exec(t.Context(), fmt.Sprintf("CREATE TABLE forgotten AS SELECT i AS id, %d AS v FROM generate_series(1, 3) i WHERE i <> 3 + %d", round*i, i))
			if err == nil {
				_, err = conn.Exec(t.Context(), "ALTER TABLE forgotten ADD PRIMARY KEY (id)")
			}
			if err = errors.Join(err, conn.Close(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		r.finish(t)
		if !errors.Is(r.err, demo.ErrDifferent) || r.result.Equal() {
			t.Errorf("the end: %v; want %v", r.err, demo.ErrDifferent)
		}
		if !strings.Contains(r.out.String(), "verdict: DIFFERENT") || !strings.Contains(r.out.String(), "public.forgotten key (1)") && round == 1 {
			t.Errorf("the difference was not printed")
		}
	}
}
