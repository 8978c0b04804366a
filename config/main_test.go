package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// text joins lines to a file.
func text(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

// sites is the beginning of a valid file with two sites.
const sites = `cluster = "shop"
site.mumbai = { dsn = "postgres://concord@10.1.0.5/shop", http = "10.1.0.9:8480", bus = "10.1.0.9:8422" }
site.pune = { dsn = "postgres://concord@10.2.0.5/shop", http = "10.2.0.9:8480", bus = "10.2.0.9:8422" }
`

// parse reads a file that must be valid.
func parse(t testing.TB, data string) *Config {
	t.Helper()
	cfg, err := Parse("concord.toml", []byte(data))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, data)
	}
	return cfg
}

// rule is one [[table]] with a match.
func rule(match string, keys ...string) string {
	return fmt.Sprintf("[[table]]\nmatch = %q\n", match) + text(keys...)
}

// write puts a file into a directory.
func write(t *testing.T, dir, name, data string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}
