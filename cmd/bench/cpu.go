package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// On a machine that does other things too, the clock says little: the processor time
// that the servers and the agents took for the same work is the steadier figure.

// clockTick is the unit of the kernel's process times (USER_HZ), the same on every
// Linux architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// processorTime is what a process, and its children that have ended, took so far.
func processorTime(pid int) (time.Duration, error) {
	stat, err := readStat(pid)
	if err != nil {
		return 0, fmt.Errorf("reading the processor time of process %d: %w", pid, err)
	}
	return stat.took, nil
}

// serverTime is what a server and all its processes, also those that have ended, took
// so far.
func (p *pair) serverTime(site int) (time.Duration, error) {
	content, err := os.ReadFile(filepath.Join(p.sites[site].Dir(), "data", "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("finding the server of %s: %w", names[site], err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	postmaster, err := strconv.Atoi(line)
	if err != nil {
		return 0, fmt.Errorf("finding the server of %s: %w", names[site], err)
	}
	total, err := processorTime(postmaster)
	if err != nil {
		return 0, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.parent == postmaster { // else it has just ended
			total += s.took
		}
	}
	return total, nil
}

type processStat struct {
	parent int
	took   time.Duration
}

func readStat(pid int) (processStat, error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return processStat{}, err
	}
	return parseStat(content)
}

// parseStat reads a line of /proc/PID/stat. The program's name in it is in
// parentheses and may hold anything.
func parseStat(content []byte) (processStat, error) {
	end := bytes.LastIndexByte(content, ')')
	fields := strings.Fields(string(content[end+1:]))
	if end < 0 || len(fields) < 15 {
		return processStat{}, fmt.Errorf("not a line of process times: %.60q", content)
	}
	var s processStat
	var err error
	if s.parent, err = strconv.Atoi(fields[1]); err != nil {
		return s, fmt.Errorf("reading the parent process: %w", err)
	}
	for _, f := range fields[11:15] { // utime, stime, and both of the children waited for
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return s, fmt.Errorf("reading process times: %w", err)
		}
		s.took += time.Duration(ticks) * clockTick
	}
	return s, nil
}
