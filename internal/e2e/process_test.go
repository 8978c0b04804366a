package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// process is one agent process.
type process struct {
	t      *testing.T
	name   string
	http   string
	config string
	args   []string
	log    *logFile

	mu     sync.Mutex
	cmd    *exec.Cmd
	done   chan struct{}
	ending atomic.Bool // it is being ended, or its test expects that it ends
}

// agent returns a process of the site, not started; killed when the test ends.
func (s *site) agent(name string, args ...string) *process {
	p := &process{
		t: s.t, name: name, http: freeAddr(s.t), config: s.config,
		args: append([]string{"--site", s.name}, args...), log: &logFile{t: s.t, name: name},
	}
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			p.log.dump()
		}
	})
	return p
}

// start starts the process. Ending before it is told to fails the test, at once.
func (p *process) start() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(concord, append([]string{"run", "--http", p.http, "-c", p.config}, p.args...)...)
	cmd.Stderr, cmd.Stdout = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	p.ending.Store(false)
	go func() {
		defer close(done)
		if err := cmd.Wait(); !p.ending.Load() {
			p.t.Errorf("the agent %s ended by itself: %v", p.name, err)
		}
	}()
	p.cmd, p.done = cmd, done
}

// kill ends the process with SIGKILL and waits for it.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	p.ending.Store(true)
	_ = p.cmd.Process.Kill()
	<-p.done
	p.cmd = nil
}

// stop ends the process with SIGTERM; it must exit with 0.
func (p *process) stop() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.t.Errorf("%s did not stop in 20 s", p.name)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("%s: exit %d after SIGTERM", p.name, code)
	}
	p.cmd = nil
}

// lag is what /v1/lag says.
type lag struct {
	Site  string `json:"site"`
	Links []struct {
		From         string  `json:"from"`
		State        string  `json:"state"`
		LagSeconds   float64 `json:"lag_seconds"`
		Transactions int64   `json:"transactions"`
		Bytes        int64   `json:"bytes"`
	} `json:"links"`
}

func (p *process) get(path string) (string, int, error) {
	c := http.Client{Timeout: 5 * time.Second}
	r, err := c.Get("http://" + p.http + path)
	if err != nil {
		return "", 0, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return string(body), r.StatusCode, err
}

// status is what /v1/status says.
type status struct {
	State, Reason, Next string
	Capture             struct {
		State, Reason string
		RetainedBytes int64 `json:"retained_bytes"`
		StreamBytes   int64 `json:"stream_bytes"`
	}
	Links []struct {
		From, State, Reason string
		LagSeconds          float64 `json:"lag_seconds"`
		Transactions        int64
		Held                []struct{ Table, Message string }
	}
}

// status asks for the status; zero while nobody answers.
func (p *process) status() (st status) {
	p.t.Helper()
	body, _, err := p.get("/v1/status")
	if err != nil {
		return st
	}
	if err := json.Unmarshal([]byte(body), &st); err != nil {
		p.t.Fatalf("%s: %v in %s", p.name, err, body)
	}
	return st
}

func (p *process) lag() (l lag, err error) {
	body, _, err := p.get("/v1/lag")
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal([]byte(body), &l)
}

// logFile keeps the last output of an agent for a failed test.
type logFile struct {
	t    *testing.T
	name string
	mu   sync.Mutex
	buf  []byte
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	if len(l.buf) > 1<<20 {
		l.buf = append([]byte(nil), l.buf[len(l.buf)-1<<19:]...)
	}
	return len(p), nil
}

func (l *logFile) dump() {
	l.mu.Lock()
	defer l.mu.Unlock()
	tail := l.buf
	if len(tail) > 8000 {
		tail = tail[len(tail)-8000:]
	}
	l.t.Logf("%s:\n%s", l.name, tail)
}
