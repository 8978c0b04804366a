package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/testcluster"
)

// Options say how the demo runs.
type Options struct {
	Dir      string        // state of the demo; .demo
	For      time.Duration // 0: until interrupted
	Program  string        // the concord program that runs the agents
	Out      io.Writer
	Terminal bool // redraw the table instead of adding lines
	Writers  int  // at each site
	Pause    time.Duration
}

// Site is one data centre of the demo; State is kept in demo.json for the commands
// that work beside a running demo.
type Site struct {
	Name    string `json:"name"`
	DSN     string `json:"dsn"`
	Port    int    `json:"port"`
	HTTP    string `json:"http"`
	Version int    `json:"version"`
	PID     int    `json:"pid"` // of the agent; 0 when it was killed

	cluster *testcluster.Cluster
	agent   *exec.Cmd
	done    chan struct{}
	load    *Load
}

// State is what demo.json holds.
type State struct {
	Config string  `json:"config"`
	Sites  []*Site `json:"sites"`
}

// ErrDiffer is returned when the databases are not equal at the end.
var ErrDiffer = errors.New("the databases differ")

// Demo is a running demo.
type Demo struct {
	o     Options
	State State
}

// Run runs the demo: start, load, quiesce, compare. It returns ErrDiffer when the two
// sides are not equal at the end.
func Run(ctx context.Context, o Options) error {
	if o.Writers == 0 {
		o.Writers = 3
	}
	if o.Pause == 0 {
		o.Pause = 10 * time.Millisecond
	}
	d := &Demo{o: o}
	defer d.stop()
	if err := d.start(ctx); err != nil {
		return err
	}
	d.greet()
	loading, stopLoad := context.WithCancel(ctx)
	if o.For > 0 {
		loading, stopLoad = context.WithTimeout(ctx, o.For)
	}
	defer stopLoad()
	d.loadAndWatch(loading)
	// The end is done even when the demo was interrupted.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	return d.finish(ending)
}

func (d *Demo) printf(format string, args ...any) { fmt.Fprintf(d.o.Out, format, args...) }

// step reports what takes a moment.
func (d *Demo) step(what string, f func() (string, error)) error {
	d.printf("%s %s ", what, strings.Repeat(".", max(3, 46-len(what))))
	began := time.Now()
	note, err := f()
	if err != nil {
		d.printf("failed\n")
		return fmt.Errorf("%s: %w", what, err)
	}
	d.printf("ok  (%s%s)\n", note, time.Since(began).Round(10*time.Millisecond))
	return nil
}

// start brings everything up.
func (d *Demo) start(ctx context.Context) error {
	dir, err := filepath.Abs(d.o.Dir)
	if err != nil {
		return err
	}
	d.o.Dir = dir
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clearing %s: %w", d.o.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	versions := testcluster.Installed()
	if len(versions) == 0 {
		return errors.New("no PostgreSQL server is installed; run scripts/install-servers.sh")
	}
	for i, name := range []string{"mumbai", "pune"} {
		s := &Site{Name: name, Version: versions[min(i, len(versions)-1)]}
		d.State.Sites = append(d.State.Sites, s)
		if err := d.step(fmt.Sprintf("starting %s, PostgreSQL %d", name, s.Version), func() (string, error) {
			return "", d.startCluster(ctx, s, i+1)
		}); err != nil {
			return err
		}
	}
	if err := d.writeConfig(); err != nil {
		return err
	}
	if err := d.step("concord init", func() (string, error) {
		out, err := exec.CommandContext(ctx, d.o.Program, "init", "-c", d.State.Config).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%w\n%s", err, out)
		}
		return "", nil
	}); err != nil {
		return err
	}
	return d.step("two agents, both directions", func() (string, error) {
		for _, s := range d.State.Sites {
			if err := d.StartAgent(s); err != nil {
				return "", err
			}
		}
		if err := d.save(); err != nil {
			return "", err
		}
		return "", d.awaitStreaming(ctx)
	})
}

func (d *Demo) startCluster(ctx context.Context, s *Site, first int) error {
	dir := filepath.Join(d.o.Dir, s.Name)
	c, err := testcluster.Start(ctx, testcluster.Options{Version: s.Version, Dir: dir, Fsync: true})
	if err != nil {
		return err
	}
	s.cluster, s.Port = c, c.Port()
	if err := c.CreateDatabase(ctx, "shop"); err != nil {
		return err
	}
	s.DSN = c.DSN("shop")
	conn, err := pgx.Connect(ctx, s.DSN)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	_, err = conn.PgConn().Exec(ctx, fmt.Sprintf(schema, first)+seed).ReadAll()
	return err
}

func closeConn(ctx context.Context, c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = c.Close(ctx) // nothing is lost with it
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (d *Demo) writeConfig() error {
	var b strings.Builder
	b.WriteString("# Written by concord demo.\ncluster = \"shop\"\n")
	for _, s := range d.State.Sites {
		bus, err := freeAddress()
		if err != nil {
			return err
		}
		if s.HTTP, err = freeAddress(); err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n[site.%s]\ndsn  = %q\nhttp = %q\nbus  = %q\ndata = %q\n", s.Name, s.DSN, s.HTTP, bus, filepath.Join(d.o.Dir, "data-"+s.Name))
	}
	b.WriteString(rules)
	d.State.Config = filepath.Join(d.o.Dir, "concord.toml")
	return os.WriteFile(d.State.Config, []byte(b.String()), 0o600)
}

// StartAgent starts the agent process of a site. It dies with this program.
func (d *Demo) StartAgent(s *Site) error {
	log, err := os.OpenFile(filepath.Join(d.o.Dir, s.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(d.o.Program, "run", "--site", s.Name, "-c", d.State.Config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	s.agent, s.done, s.PID = cmd, done, cmd.Process.Pid
	return nil
}

func (d *Demo) save() error {
	data, err := json.MarshalIndent(d.State, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.o.Dir, "demo.json"), data, 0o600)
}

// lagReply is what the demo reads of /v1/status.
type lagReply struct {
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Conflicts int64  `json:"conflicts"`
	Parked    int64  `json:"parked"`
	Links     []struct {
		From       string  `json:"from"`
		State      string  `json:"state"`
		Reason     string  `json:"reason"`
		LagSeconds float64 `json:"lag_seconds"`
	} `json:"links"`
}

func (s *Site) status(ctx context.Context) (r lagReply, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.HTTP+"/v1/status", nil)
	if err != nil {
		return r, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	return r, json.NewDecoder(resp.Body).Decode(&r)
}

// awaitStreaming waits until every link has applied a heartbeat.
func (d *Demo) awaitStreaming(ctx context.Context) error {
	deadline := time.Now().Add(60 * time.Second)
	for {
		well := 0
		reason := ""
		for _, s := range d.State.Sites {
			r, err := s.status(ctx)
			switch {
			case err != nil:
				reason = err.Error()
			case len(r.Links) == 1 && (r.Links[0].State == "streaming" || r.Links[0].State == "catching_up") && r.Links[0].LagSeconds < 2:
				well++
			default:
				reason = fmt.Sprintf("%s: %s %s %+v", s.Name, r.State, r.Reason, r.Links)
			}
		}
		if well == len(d.State.Sites) {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("the agents do not stream: %s; see the logs in %s", reason, d.o.Dir)
		}
		wait(ctx, 50*time.Millisecond)
	}
}

// stop ends the agents and the servers.
func (d *Demo) stop() {
	for _, s := range d.State.Sites {
		if s.agent != nil {
			_ = s.agent.Process.Signal(syscall.SIGTERM) // gone already is as good
		}
	}
	for _, s := range d.State.Sites {
		if s.agent == nil {
			continue
		}
		select {
		case <-s.done:
		case <-time.After(10 * time.Second):
			_ = s.agent.Process.Kill()
			<-s.done
		}
	}
	for _, s := range d.State.Sites {
		if s.cluster != nil {
			if err := s.cluster.Close(); err != nil {
				d.printf("stopping %s: %v\n", s.Name, err)
			}
		}
	}
	_ = os.Remove(filepath.Join(d.o.Dir, "demo.json"))
}
