package spill

import (
	"github.com/cockroachdb/pebble/v2/vfs"
)

// unsynced is a file system that leaves it to the kernel when data reaches the disk: after
// a crash the files are worth nothing anyway.
type unsynced struct{ vfs.FS }

type unsyncedFile struct{ vfs.File }

func (f unsyncedFile) Sync() error                { return nil }
func (f unsyncedFile) SyncData() error            { return nil }
func (f unsyncedFile) SyncTo(int64) (bool, error) { return false, nil }
func (fs unsynced) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

// Create implements vfs.FS.
func (fs unsynced) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.wrap(fs.FS.Create(name, c))
}

// OpenDir implements vfs.FS.
func (fs unsynced) OpenDir(name string) (vfs.File, error) { return fs.wrap(fs.FS.OpenDir(name)) }

// ReuseForWrite implements vfs.FS.
func (fs unsynced) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.wrap(fs.FS.ReuseForWrite(from, to, c))
}
