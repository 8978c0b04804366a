package agents

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/concord-db/concord/internal/httpapi"
)

// client opens a connection for each question: the process it asks comes and goes.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// Status asks the agent how it is.
func (a *Agent) Status(ctx context.Context) (httpapi.Status, error) {
	var s httpapi.Status
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.o.HTTP+"/v1/status", nil)
	if err != nil {
		return s, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return s, fmt.Errorf("asking the agent of %s: %w", a.o.Site, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return s, fmt.Errorf("asking the agent of %s: %s", a.o.Site, answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("reading the status of %s: %w", a.o.Site, err)
	}
	return s, nil
}

// notReady says what an agent still waits for; "" when it works in both directions.
func notReady(s httpapi.Status) string {
	if s.State != "running" {
		return s.State + ": " + s.Reason
	}
	if s.Role != "apply" && s.Capture.State != "streaming" {
		return "capture " + s.Capture.State + ": " + s.Capture.Reason
	}
	for _, l := range s.Links {
		if l.State != "streaming" && l.State != "catching_up" {
			return "link from " + l.From + " " + l.State + ": " + l.Reason
		}
	}
	return ""
}

// Memory is what a process has of main memory, in bytes.
type Memory struct {
	Resident int64 `json:"resident"`
	Peak     int64 `json:"peak"` // since the process began, or since ResetPeak
}

// Memory reads the kernel's figures for the process; zero when it does not run.
func (a *Agent) Memory() (Memory, error) {
	pid := a.PID()
	if pid == 0 {
		return Memory{}, nil
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("reading the memory of the agent of %s: %w", a.o.Site, err)
	}
	return parseMemory(string(content))
}

// ResetPeak makes the kernel count the peak from now on.
func (a *Agent) ResetPeak() error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", a.PID()), []byte("5"), 0); err != nil {
		return fmt.Errorf("resetting the peak of the agent of %s: %w", a.o.Site, err)
	}
	return nil
}

// parseMemory reads the lines VmRSS and VmHWM of /proc/PID/status.
func parseMemory(status string) (Memory, error) {
	var m Memory
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		var to *int64
		switch name {
		case "VmRSS":
			to = &m.Resident
		case "VmHWM":
			to = &m.Peak
		default:
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("reading %s: %w", name, err)
		}
		*to = kib << 10
	}
	return m, nil
}
