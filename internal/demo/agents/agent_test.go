package agents

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program writes a shell script that plays concord.
func program(t *testing.T, script string) Options {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "concord")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Options{Program: path, Config: "shop.toml", Site: "pune", HTTP: "127.0.0.1:1", Log: filepath.Join(dir, "log")}
}

func awaitLog(t *testing.T, a *Agent, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(a.LogTail(10), text); {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not have %q: %s", text, a.LogTail(10))
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestAnAgentIsStartedStoppedAndStartedAgain(t *testing.T) {
	a := New(program(t, `trap 'echo stopping; exit 0' TERM; echo "$@" ready; while :; do sleep 0.05; done`))
	if a.Running() || a.PID() != 0 {
		t.Fatal("it runs before its start")
	}
	for range 2 {
		if err := a.Start(); err != nil {
			t.Fatal(err)
		}
		if err := a.Start(); err == nil {
			t.Error("a second start beside the first gave no error")
		}
		awaitLog(t, a, "run --site pune -c shop.toml ready")
		memory, err := a.Memory()
		if err != nil || memory.Resident <= 0 || memory.Peak < memory.Resident {
			t.Errorf("memory %+v, %v", memory, err)
		}
		if err := a.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a.Running() || !strings.HasSuffix(a.LogTail(1), "stopping") {
			t.Errorf("after Stop: running %v, log %q", a.Running(), a.LogTail(1))
		}
		if err := os.Remove(a.LogFile()); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Stop(t.Context()), a.Kill()); err != nil {
		t.Errorf("ending what does not run: %v", err)
	}
}

func TestAnAgentThatDoesNotStopIsKilled(t *testing.T) {
	a := New(program(t, `trap '' TERM; echo ready; while :; do sleep 0.05; done`))
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, a, "ready")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := a.Stop(ctx); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("Stop: %v; want to be told that it was killed", err)
	}
	if a.Running() {
		t.Error("it still runs")
	}
}

func TestAwaitTellsWhyAnAgentEnded(t *testing.T) {
	a := New(program(t, `echo "concord: no such site"; exit 2`))
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if err := a.Await(t.Context()); err == nil || !strings.Contains(err.Error(), "no such site") {
		t.Errorf("Await: %v; want the last line of its log", err)
	}
}

func TestAwaitWaitsForEveryLink(t *testing.T) {
	const format = `{"site":"pune","state":"running","capture":{"state":"streaming"},"links":[{"from":"mumbai","state":"%s","reason":"%s"}]}`
	answers := make(chan string, 3)
	answers <- `{"state":"starting","reason":"the bus","links":[]}`
	answers <- fmt.Sprintf(format, "unreachable", "no route")
	answers <- fmt.Sprintf(format, "streaming", "")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, <-answers) }))
	defer server.Close()
	o := program(t, `while :; do sleep 0.05; done`)
	o.HTTP = server.Listener.Addr().String()
	a := New(o)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	defer a.Kill()
	if err := a.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(answers) != 0 {
		t.Errorf("%d answers were not waited for", len(answers))
	}

	answers <- fmt.Sprintf(format, "needs_copy", "the stream was replaced")
	close(answers) // nothing but empty answers from here on
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := a.Await(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "link from mumbai needs_copy: the stream was replaced") {
		t.Errorf("Await: %v; want the deadline and what was waited for", err)
	}
}

func TestMemoryOfTheKernel(t *testing.T) {
	m, err := parseMemory("Name:\tconcord\nVmPeak:\t  99 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
	if want := (Memory{Resident: 1 << 20, Peak: 2 << 20}); err != nil || m != want {
		t.Errorf("%+v, %v; want %+v", m, err, want)
	}
	if _, err := parseMemory("VmRSS:\tmuch\n"); err == nil {
		t.Error("no error for a line that is no number")
	}
}
