package testcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running postmaster, started by this program or found by its pid.
type process struct {
	pid  int
	gone chan struct{} // closed when it has ended; nil when not our child
}

// launch starts a program and returns once it runs. Unless detached, it gets
// SIGQUIT (PostgreSQL: stop at once, clean up) when this program dies, however.
func launch(cmd *exec.Cmd, id identity, detach bool) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: id.credential()}
	if detach {
		cmd.SysProcAttr.Setsid = true
	} else {
		// Of its own group, so that Ctrl-C at a terminal reaches only this program.
		cmd.SysProcAttr.Setpgid = true
		cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	}
	started := make(chan error, 1)
	p := &process{gone: make(chan struct{})}
	go p.run(cmd, started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run starts the program and reaps it. The kernel sends the parent death signal
// when the thread that started the child ends, so the thread is held meanwhile.
func (p *process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.gone)
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	// How it ended is in its log; all that counts here is that it has.
	_ = cmd.Wait()
}

// running reports whether the process exists and has not ended.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	if p.gone != nil {
		select {
		case <-p.gone:
			return false
		default:
			return true
		}
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "stat"))
	return err == nil && !strings.Contains(afterName(stat), ") Z ")
}

// wait returns nil when the process has ended.
func (p *process) wait(ctx context.Context) error {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for p.running() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for process %d to end: %w", p.pid, ctx.Err())
		case <-poll.C:
		}
	}
	return nil
}

// waitKilled is wait for a process that got SIGKILL: only the kernel can keep it.
func (p *process) waitKilled() error {
	for deadline := time.Now().Add(time.Minute); p.running(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for killed process %d to end: it has not for a minute", p.pid)
		}
	}
	return nil
}

// signal sends a signal to the postmaster alone.
func (p *process) signal(sig syscall.Signal) error {
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %s to process %d: %w", sig, p.pid, err)
	}
	return nil
}

// signalAll sends a signal to the postmaster and its children. The postmaster is
// stopped first, so that none is born unseen.
func (p *process) signalAll(sig syscall.Signal) error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	children, err := childrenOf(p.pid)
	if err != nil {
		return err
	}
	for _, pid := range children {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("sending %s to process %d: %w", sig, pid, err)
		}
	}
	return p.signal(sig)
}

// awaitStopped returns when every thread of the process is stopped: SIGSTOP has been sent
// when kill returns, and a busy thread still answers a client until it takes the signal.
func (p *process) awaitStopped() error {
	for deadline := time.Now().Add(time.Minute); p.running(); time.Sleep(time.Millisecond) {
		tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(p.pid), "task", "*", "stat"))
		if err != nil {
			return fmt.Errorf("listing threads of process %d: %w", p.pid, err)
		}
		if !slices.ContainsFunc(tasks, goesOn) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for process %d to stop: it has not for a minute", p.pid)
		}
	}
	return nil
}

// goesOn reports whether the thread with this /proc stat file is neither stopped nor gone.
func goesOn(stat string) bool {
	text, err := os.ReadFile(stat)
	return err == nil && !strings.HasPrefix(afterName(text), ") T")
}

func childrenOf(parent int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var children []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid …
		fields := strings.Fields(afterName(stat))
		if len(fields) > 2 && fields[2] == strconv.Itoa(parent) {
			children = append(children, pid)
		}
	}
	return children, nil
}

// afterName cuts a line of /proc/PID/stat at the parenthesis that ends the
// program's name, which may itself hold anything.
func afterName(stat []byte) string {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return ""
	}
	return string(stat[end:])
}
