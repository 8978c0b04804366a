package agents

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say which agent to run and where.
type Options struct {
	Program string   // path of concord
	Config  string   // its configuration file
	Site    string   // whose agents
	HTTP    string   // host:port of the site in Config
	Log     string   // file its output is appended to
	Args    []string // more arguments of concord run
	Env     []string // more environment, NAME=value
}

// Agent is the agent process of one site. Its methods may be called concurrently.
type Agent struct {
	o Options

	mu  sync.Mutex
	run *execution // the last one; nil before the first Start
}

// execution is one life of the process.
type execution struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended and cmd.ProcessState is set
}

// New starts nothing.
func New(o Options) *Agent { return &Agent{o: o} }

// Site is the site whose agents these are.
func (a *Agent) Site() string { return a.o.Site }

// LogFile is where the agent's output is.
func (a *Agent) LogFile() string { return a.o.Log }

// Start starts the process. It is killed when this program ends, however that ends.
func (a *Agent) Start() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.run.alive() {
		return fmt.Errorf("starting the agent of %s: it is running", a.o.Site)
	}
	log, err := os.OpenFile(a.o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the agent's log: %w", err)
	}
	defer log.Close()
	// A context would kill it at its end: it is told to stop instead.
	cmd := exec.Command(a.o.Program, append([]string{"run", "--site", a.o.Site, "-c", a.o.Config}, a.o.Args...)...) //nolint:noctx // see above
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), a.o.Env...)
	// Of its own group, so that Ctrl-C at a terminal reaches only this program.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	e := &execution{cmd: cmd, gone: make(chan struct{})}
	started := make(chan error, 1)
	go e.live(started)
	if err := <-started; err != nil {
		return fmt.Errorf("starting the agent of %s: %w", a.o.Site, err)
	}
	a.run = e
	return nil
}

// live starts the process and reaps it. The kernel sends the parent death signal when
// the thread that started the child ends, so the thread is held meanwhile.
func (e *execution) live(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(e.gone)
	err := e.cmd.Start()
	started <- err
	if err == nil {
		// How it ended is in its log and in ProcessState.
		_ = e.cmd.Wait()
	}
}

func (e *execution) alive() bool {
	if e == nil {
		return false
	}
	select {
	case <-e.gone:
		return false
	default:
		return true
	}
}

func (a *Agent) current() *execution {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.run
}

// Running reports whether the process exists.
func (a *Agent) Running() bool { return a.current().alive() }

// PID is the process's number; 0 when there is none.
func (a *Agent) PID() int {
	if e := a.current(); e.alive() {
		return e.cmd.Process.Pid
	}
	return 0
}

// Kill ends the process as a crash does and returns when it is gone. A process that
// is not running is no error.
func (a *Agent) Kill() error { return a.end(syscall.SIGKILL, nil) }

// Stop asks the process to stop and returns when it is gone; when ctx ends first the
// process is killed and the error says so. A process that is not running is no error.
func (a *Agent) Stop(ctx context.Context) error { return a.end(syscall.SIGTERM, ctx.Done()) }

func (a *Agent) end(sig syscall.Signal, deadline <-chan struct{}) error {
	e := a.current()
	if !e.alive() {
		return nil
	}
	if err := e.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending the agent of %s: %w", a.o.Site, err)
	}
	select {
	case <-e.gone:
		return nil
	case <-deadline:
	}
	if err := e.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending the agent of %s: %w", a.o.Site, err)
	}
	<-e.gone
	return fmt.Errorf("stopping the agent of %s: it did not stop in time and was killed; see %s", a.o.Site, a.o.Log)
}

// Await returns when the agent runs and every link of it streams. It gives up when
// the process ends, or with ctx; the error says what was waited for.
func (a *Agent) Await(ctx context.Context) error {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	waiting := "its HTTP"
	for {
		if !a.Running() {
			return fmt.Errorf("waiting for the agent of %s: it ended: %s", a.o.Site, a.LogTail(5))
		}
		if s, err := a.Status(ctx); err == nil {
			if waiting = notReady(s); waiting == "" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the agent of %s: %s: %w", a.o.Site, waiting, ctx.Err())
		case <-poll.C:
		}
	}
}

// LogTail returns the last lines of the agent's output, for a message.
func (a *Agent) LogTail(lines int) string {
	content, err := os.ReadFile(a.o.Log)
	if errors.Is(err, fs.ErrNotExist) {
		return "no output"
	}
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
