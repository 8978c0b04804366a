package testcluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user a server runs as. PostgreSQL refuses to run as root, so
// root lends it the account "postgres", or "nobody" where there is none.
type identity struct {
	name     string
	uid, gid int
	switched bool // the caller is root and changes to it
}

func serverIdentity() (identity, error) {
	if os.Geteuid() != 0 {
		return identity{name: "the current user", uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(account.Uid)
		if err != nil {
			return identity{}, fmt.Errorf("reading the uid of user %s: %w", name, err)
		}
		gid, err := strconv.Atoi(account.Gid)
		if err != nil {
			return identity{}, fmt.Errorf("reading the gid of user %s: %w", name, err)
		}
		return identity{name: "user " + name, uid: uid, gid: gid, switched: true}, nil
	}
	return identity{}, errors.New("finding an unprivileged user: PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

// credential is nil when the caller's own identity will do.
func (id identity) credential() *syscall.Credential {
	if !id.switched {
		return nil
	}
	return &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
}

// own gives a file or directory to the identity.
func (id identity) own(path string) error {
	if !id.switched {
		return nil
	}
	return os.Chown(path, id.uid, id.gid)
}

// reach reports the first directory on the way to path that the identity may not
// enter; nil when it can get there.
func (id identity) reach(path string) error {
	if !id.switched {
		return nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && info.IsDir() && !id.enters(info) {
			return fmt.Errorf("directory %s cannot be entered by %s: make it so (chmod o+x), or use another place", dir, id.name)
		}
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (id identity) enters(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case !ok:
		return mode&0o001 != 0
	case int(owner.Uid) == id.uid:
		return mode&0o100 != 0
	case int(owner.Gid) == id.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// Reachable reports why a server could not be started in dir by the caller, so
// that who chooses the place can choose another one; nil when it can. Parts of
// the path that do not exist yet are no hindrance.
func Reachable(dir string) error {
	id, err := serverIdentity()
	if err != nil {
		return err
	}
	return id.reach(dir)
}

// reachablePrograms returns the programs of a version at a place where the
// identity can execute them: where they are, or a copy under the temporary
// directory when the project sits in a private one (a root user's home).
func reachablePrograms(version int, id identity) (string, error) {
	bin, err := Programs(version)
	if err != nil {
		return "", err
	}
	if id.reach(bin) == nil {
		return bin, nil
	}
	info, err := os.Stat(filepath.Join(bin, "postgres"))
	if err != nil {
		return "", err
	}
	// The name carries what tells one installation from another.
	installation := filepath.Join(os.TempDir(), fmt.Sprintf("concord-postgres-%d-%x-%x", version, info.Size(), info.ModTime().Unix()))
	if holdsServer(filepath.Join(installation, "bin")) {
		return filepath.Join(installation, "bin"), nil
	}
	if err := id.reach(os.TempDir()); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(os.TempDir(), "concord-postgres-copy-")
	if err != nil {
		return "", fmt.Errorf("copying PostgreSQL %d to where %s can run it: %w", version, id.name, err)
	}
	defer os.RemoveAll(work)
	if err := copyTree(work, filepath.Dir(bin)); err != nil {
		return "", fmt.Errorf("copying PostgreSQL %d to where %s can run it: %w", version, id.name, err)
	}
	if err := os.Rename(work, installation); err != nil && !holdsServer(filepath.Join(installation, "bin")) {
		return "", fmt.Errorf("copying PostgreSQL %d to where %s can run it: %w", version, id.name, err)
	}
	return filepath.Join(installation, "bin"), nil
}

// copyTree copies an installation so that everyone can read and run it, symbolic
// links as links.
func copyTree(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if entry.IsDir() || mode&0o100 != 0 {
			mode |= 0o111 // a umask may have taken it away
		}
		return os.Chmod(path, mode)
	})
}
