package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// State is what demo.json says of a running demo.
type State struct {
	DB      Databases    `json:"db"`      // of the sites
	Config  string       `json:"config"`  // the configuration, for concord -c
	Control string       `json:"control"` // host:port where the demo takes orders
	Token   string       `json:"token"`   // that goes with them
	Sites   [2]SiteState `json:"sites"`
}

// SiteState is one site of a running demo.
type SiteState struct {
	Name string `json:"name"`
	DSN  string `json:"dsn"`
	HTTP string `json:"http"`
	Log  string `json:"log"` // of the agent
}

// ErrNotRunning is returned when no demo runs in a directory.
var ErrNotRunning = errors.New("no demo is running here: start one with concord demo")

func stateFile(dir string) string { return filepath.Join(dir, "demo.json") }

// ReadState reads the state of the demo that runs in dir; ErrNotRunning when none does.
func ReadState(dir string) (State, error) {
	var s State
	content, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return s, ErrNotRunning
	}
	if err != nil {
		return s, fmt.Errorf("reading the demo's state: %w", err)
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("reading %s: %w", stateFile(dir), err)
	}
	return s, nil
}

// write makes the state visible, all at once. Only the user may read it: it has the
// token in it.
func (s State) write(dir string) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	next := stateFile(dir) + ".next"
	if err := os.WriteFile(next, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the demo's state: %w", err)
	}
	if err := os.Rename(next, stateFile(dir)); err != nil {
		return fmt.Errorf("writing the demo's state: %w", err)
	}
	return nil
}

func removeState(dir string) error {
	if err := os.Remove(stateFile(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the demo's state: %w", err)
	}
	return nil
}
