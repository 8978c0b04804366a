package testcluster

import (
	"fmt"
	"os"
	"path/filepath"
)

// mysqlPrograms are the programs of a MariaDB or MySQL server.
type mysqlPrograms struct {
	product Product
	name    string // tells one installation from another, for what is kept of it
	run     []string
	options []string
	make    []string // MariaDB: what makes a data directory
}

// server is the command line of the server. The first argument must come first: it may say
// where the settings are.
func (p *mysqlPrograms) server(first string, arguments ...string) []string {
	line := append(append([]string(nil), p.run...), first)
	return append(append(line, p.options...), arguments...)
}

// findMySQL finds the programs of a product: those in the directory that CONCORD_MARIADB or
// CONCORD_MYSQL names, the distribution's MariaDB, the MySQL in the project's .cache/mysql-9.
func findMySQL(product Product, id identity) (mysqlPrograms, error) {
	switch product {
	case MariaDB:
		return findMariaDB()
	case MySQL:
		return findOwnMySQL(id)
	}
	return mysqlPrograms{}, fmt.Errorf("finding a server: %q is neither %s nor %s", product, MariaDB, MySQL)
}

const mysqlRemedy = "run scripts/install-servers.sh (as root the first time), or set %s"

func findMariaDB() (mysqlPrograms, error) {
	base := "/usr"
	if dir := os.Getenv("CONCORD_MARIADB"); dir != "" {
		base = dir
	}
	p := mysqlPrograms{product: MariaDB}
	var server os.FileInfo
	for _, dir := range []string{"sbin", "bin"} {
		path := filepath.Join(base, dir, "mariadbd")
		if info, err := os.Stat(path); err == nil && p.run == nil {
			p.run, server = []string{path}, info
		}
	}
	for _, dir := range []string{"bin", "scripts"} {
		path := filepath.Join(base, dir, "mariadb-install-db")
		if _, err := os.Stat(path); err == nil && p.make == nil {
			p.make = []string{path, "--no-defaults", "--basedir=" + base}
		}
	}
	if p.run == nil || p.make == nil {
		return p, fmt.Errorf("finding MariaDB: mariadbd or mariadb-install-db is not in %s: "+mysqlRemedy, base, "CONCORD_MARIADB to the directory that has them in sbin and bin")
	}
	p.name = installation(server)
	return p, nil
}

// findOwnMySQL: the server comes with its libraries and their loader, as it is made for a
// later distribution than this one may be.
func findOwnMySQL(id identity) (mysqlPrograms, error) {
	var dirs []string
	if dir := os.Getenv("CONCORD_MYSQL"); dir != "" {
		dirs = []string{dir}
	} else {
		cached := filepath.Join(".cache", "mysql-9")
		if root, ok := projectRoot(); ok {
			dirs = append(dirs, filepath.Join(root, cached))
		}
		if self, err := os.Executable(); err == nil {
			dirs = append(dirs, filepath.Join(filepath.Dir(self), "..", cached))
		}
	}
	for _, dir := range dirs {
		info, err := os.Stat(filepath.Join(dir, "bin", "mysqld"))
		if err != nil {
			continue
		}
		p := mysqlPrograms{product: MySQL, name: installation(info)}
		if id.reach(filepath.Join(dir, "bin")) != nil {
			if dir, err = copyInstallation("concord-mysql-"+p.name, dir, id); err != nil {
				return p, err
			}
		}
		p.run = []string{filepath.Join(dir, "bin", "mysqld")}
		if loader := filepath.Join(dir, "lib", "ld-linux-x86-64.so.2"); exists(loader) {
			p.run = append([]string{loader, "--library-path", filepath.Join(dir, "lib")}, p.run...)
		}
		p.options = []string{
			"--basedir=" + dir, "--lc-messages-dir=" + filepath.Join(dir, "share"),
			"--character-sets-dir=" + filepath.Join(dir, "share", "charsets"), "--plugin-dir=" + filepath.Join(dir, "plugin"),
		}
		return p, nil
	}
	return mysqlPrograms{}, fmt.Errorf("finding MySQL: it is not installed: "+mysqlRemedy, "CONCORD_MYSQL to a directory with bin/mysqld, lib, share and plugin")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// installation tells one installed server from another.
func installation(server os.FileInfo) string {
	return fmt.Sprintf("%x-%x", server.Size(), server.ModTime().Unix())
}

// copyInstallation copies an installation under the temporary directory, where the identity
// can run it, unless that was done before.
func copyInstallation(name, from string, id identity) (string, error) {
	to := filepath.Join(os.TempDir(), name)
	if exists(to) {
		return to, nil
	}
	if err := id.reach(os.TempDir()); err != nil {
		return "", err
	}
	return to, inPlace(to, func(work string) error { return copyTree(work, from) })
}

// inPlace has f fill a directory and puts it to its place when it is whole. Somebody else
// may have done so meanwhile.
func inPlace(to string, f func(work string) error) error {
	work, err := os.MkdirTemp(filepath.Dir(to), filepath.Base(to)+"-copy-")
	if err != nil {
		return fmt.Errorf("making %s: %w", to, err)
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", to, err)
	}
	if err := f(work); err != nil {
		return fmt.Errorf("making %s: %w", to, err)
	}
	if err := os.Rename(work, to); err != nil && !exists(to) {
		return fmt.Errorf("making %s: %w", to, err)
	}
	return nil
}
