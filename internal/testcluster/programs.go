package testcluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// remedy is what to do when a server program is missing.
const remedy = "run scripts/install-servers.sh (as root the first time), or set CONCORD_POSTGRES_%d to the directory of its programs"

// Programs returns the directory with PostgreSQL's server programs of a major
// version: the one named by the environment variable CONCORD_POSTGRES_<version>,
// the distribution's, or the project's own .cache/postgres-<version>/bin.
func Programs(version int) (string, error) {
	if dir := os.Getenv(fmt.Sprintf("CONCORD_POSTGRES_%d", version)); dir != "" {
		if !holdsServer(dir) {
			return "", fmt.Errorf("finding PostgreSQL %d: CONCORD_POSTGRES_%d is %s, which has no initdb and postgres", version, version, dir)
		}
		return dir, nil
	}
	for _, dir := range candidates(version) {
		if holdsServer(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("finding PostgreSQL %d: it is not installed: "+remedy, version, version)
}

// Installed returns the major versions whose server programs are found, ascending.
func Installed() []int {
	var found []int
	for version := 15; version <= 19; version++ {
		if _, err := Programs(version); err == nil {
			found = append(found, version)
		}
	}
	return found
}

// Tool returns the path of a client program (psql, pgbench, pg_dump) of the newest
// installed version that has it.
func Tool(name string) (string, error) {
	versions := Installed()
	slices.Reverse(versions)
	for _, version := range versions {
		dir, err := Programs(version)
		if err != nil {
			continue
		}
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("finding %s: no installed PostgreSQL has it: run scripts/install-servers.sh", name)
}

func candidates(version int) []string {
	dirs := []string{filepath.Join("/usr/lib/postgresql", strconv.Itoa(version), "bin")}
	cached := filepath.Join(".cache", "postgres-"+strconv.Itoa(version), "bin")
	if root, ok := projectRoot(); ok {
		dirs = append(dirs, filepath.Join(root, cached))
	}
	if self, err := os.Executable(); err == nil {
		// bin/concord runs from anywhere: its project is the directory above bin.
		dirs = append(dirs, filepath.Join(filepath.Dir(self), "..", cached))
	}
	return dirs
}

// projectRoot finds the directory with go.mod at or above the working directory.
func projectRoot() (string, bool) {
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

func holdsServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
