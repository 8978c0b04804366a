package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/concord-db/concord/internal/demo/agents"
)

// stopLimit is how long an agent may take to stop.
const stopLimit = 20 * time.Second

func (p *pair) logFile(name string) string { return filepath.Join(p.dir, name+".log") }

// startAgents starts both agents of the configuration that init wrote last.
func (p *pair) startAgents() error {
	for i := range names {
		if err := p.startAgent(i); err != nil {
			return err
		}
	}
	return nil
}

func (p *pair) startAgent(site int) error {
	name := names[site]
	if err := os.RemoveAll(p.logFile(name)); err != nil {
		return err
	}
	o := agents.Options{Program: p.o.program, Config: p.config, Site: name, HTTP: p.http[site], Log: p.logFile(name)}
	if p.o.profile != "" {
		o.Env = []string{"CONCORD_CPUPROFILE=" + filepath.Join(p.o.profile, name+".pprof")}
	}
	a := agents.New(o)
	if err := a.Start(); err != nil {
		return err
	}
	p.agents[site] = a
	return nil
}

// stopAgents stops the agents and notes their greatest resident memory and the
// processor time they took. It does nothing when none run.
func (p *pair) stopAgents(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	var failed error
	for i, a := range p.agents {
		if a == nil || !a.Running() {
			continue
		}
		p.agents[i] = nil
		memory, err := a.Memory()
		if err == nil {
			p.peak[i] = max(p.peak[i], memory.Peak)
			p.agentCPU[i], err = processorTime(a.PID())
		}
		if failed == nil {
			failed = err
		}
		if err := a.Stop(ctx); failed == nil {
			failed = err
		}
	}
	return failed
}

// describe prints how the agents did it, for whoever tunes them.
func (p *pair) describe(ctx context.Context) {
	for i, a := range p.agents {
		s, err := a.Status(ctx)
		if err != nil || len(s.Links) == 0 {
			continue // it is a remark, no result
		}
		l := s.Links[0]
		p.printf("  %s: captured %d transactions in %d frames; applied %d in %d groups (%d retries, %d exact), last fence %.1f ms\n",
			names[i], s.Capture.Transactions, s.Capture.Frames, l.AppliedTxs, l.Groups, l.Retries, l.ExactGroups, l.FenceSeconds*1000)
	}
}

// logs are the last lines that both agents wrote, for an error's message.
func (p *pair) logs() string {
	var b strings.Builder
	for i, a := range p.agents {
		if a != nil {
			fmt.Fprintf(&b, "\n%s:\n%s", names[i], a.LogTail(15))
		}
	}
	return b.String()
}
