package config

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// maxFileBytes is far above any real configuration and far below what would make
// a mistaken file (a dump, a log) slow to refuse.
const maxFileBytes = 512 << 10

// Config is a valid configuration. It is never changed after Parse or Load.
type Config struct {
	// Path is the file's name as it was given to Load or Parse.
	Path string
	// Cluster names the whole: part of every stream's name.
	Cluster string
	// Defaults has every field set.
	Defaults Defaults
	// Sites are in the order of the file; at least one.
	Sites []Site
	// Rules are in the order of the file, which is the order of their rank.
	Rules []Rule
	// Warnings are what a person should look at, though it is valid; in the order
	// of the file.
	Warnings []Problem

	scripts   []scriptRef
	resolvers map[string]*conflict.Resolver // by FILE.star:FUNCTION; nil until Load
}

// Defaults are the settings that hold for every site and table.
type Defaults struct {
	// Conflict is the policy of tables whose rule names none.
	Conflict Policy
	// OnError says what apply does with a change that the database refuses.
	OnError OnError
	// MaxClockDrift is how far a clock may be ahead of the other sites before
	// capture stops publishing.
	MaxClockDrift time.Duration
	// FenceTimeout is how long apply may hold row locks while it waits for capture.
	FenceTimeout time.Duration
	// MaxLag is the lag beyond which /readyz answers that the site is not ready.
	MaxLag time.Duration
	// StreamMaxBytes is the size at which a stream is full and capture stops.
	StreamMaxBytes int64
	// WindowMemory is how much memory an agent may take to remember what is in flight;
	// what is beyond goes into files.
	WindowMemory int64
	// ConflictRetention is how long recorded conflicts are kept.
	ConflictRetention time.Duration
	// ConflictMax is how many of them are kept.
	ConflictMax int64
}

// OnError is what apply does with a change that the database refuses.
type OnError string

// The answers to a refused change.
const (
	// Park sets the change aside with its reason and goes on.
	Park OnError = "park"
	// Stop stops the link until a person has acted.
	Stop OnError = "stop"
)

// builtin returns the settings of a file that sets none.
func builtin() Defaults {
	return Defaults{
		Conflict:          Policy{Base: LastWriteWins},
		OnError:           Park,
		MaxClockDrift:     time.Hour,
		FenceTimeout:      time.Second,
		MaxLag:            10 * time.Second,
		StreamMaxBytes:    10_000_000_000,
		WindowMemory:      128 << 20,
		ConflictRetention: 720 * time.Hour,
		ConflictMax:       1_000_000,
	}
}

// Load reads the file at path, and the scripts of the rules it names. What is wrong with its contents is returned as
// Errors; any other error is trouble with reading it. It also looks, for
// warnings, at who may read the files that hold passwords.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	cfg, err := Parse(path, data)
	if err != nil {
		return nil, err
	}
	if problems := cfg.loadScripts(); len(problems) > 0 {
		return nil, Errors(sorted(problems))
	}
	cfg.checkModes()
	return cfg, nil
}

// Parse reads the contents of a configuration file. The name is used in messages,
// and relative paths in the file are taken from its directory. It touches no file.
// The error is always Errors.
func Parse(name string, data []byte) (*Config, error) {
	r := &reader{cfg: &Config{Path: name, Defaults: builtin()}}
	if len(data) > maxFileBytes {
		return nil, Errors{{
			File: name, Line: 1, Column: 1,
			Message: fmt.Sprintf("the file has %d bytes; a configuration has at most %d", len(data), maxFileBytes),
			Remedy:  "check that this is the right file",
		}}
	}
	r.doc = parseDocument(name, data)
	r.read()
	if len(r.problems) > 0 {
		return nil, Errors(sorted(r.problems))
	}
	r.cfg.Warnings = sorted(r.warnings)
	return r.cfg, nil
}

// Mixed reports whether the sites have databases of different engines.
func (c *Config) Mixed() bool {
	for _, s := range c.Sites {
		if s.DSN.Engine() != c.Sites[0].DSN.Engine() {
			return true
		}
	}
	return false
}

// Site returns the named site.
func (c *Config) Site(name change.Site) (Site, bool) {
	for _, s := range c.Sites {
		if s.Name == name {
			return s, true
		}
	}
	return Site{}, false
}

// Names returns the names of all sites, in the order of the file.
func (c *Config) Names() []change.Site {
	names := make([]change.Site, len(c.Sites))
	for i, s := range c.Sites {
		names[i] = s.Name
	}
	return names
}

// Peers returns the names of all sites but one, in the order of the file.
func (c *Config) Peers(of change.Site) []change.Site {
	var names []change.Site
	for _, s := range c.Sites {
		if s.Name != of {
			names = append(names, s.Name)
		}
	}
	return names
}

// resolve returns path as seen from where the program runs: a relative path in
// the file starts at the file's directory.
func (c *Config) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(c.Path), path)
}

// checkModes warns of files with passwords that others may read. Files that are
// not here are none of this site's: the configuration is the same everywhere.
func (c *Config) checkModes() {
	for _, s := range c.Sites {
		file, what, at := s.PasswordFile, "password_file", s.passwordAt
		if s.DSN.HasPassword() {
			file, what, at = c.Path, "the dsn has a password in it and this file", s.dsnAt
		}
		if file == "" {
			continue
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			continue
		}
		at.Message = fmt.Sprintf("%s can be read by other users (mode %04o)", what, info.Mode().Perm())
		at.Remedy = fmt.Sprintf("chmod 600 %s", file)
		if s.DSN.HasPassword() {
			at.Remedy += ", or move the password to a password_file"
		}
		c.Warnings = append(c.Warnings, at)
	}
	c.Warnings = sorted(c.Warnings)
}
