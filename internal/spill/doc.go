// Package spill keeps in files what the window has no room for in memory. It implements
// conflict.Store.
//
// The files are of no use to anybody else and to nobody later: the window is rebuilt from
// the streams. So the directory is emptied when a Store is opened and when it is closed,
// and nothing is synced.
//
// What is spilled comes as runs: sorted, never changed, dropped whole. That is what an LSM
// tree is made of, so the store is Pebble, entered from below: a run is written as one
// sstable and ingested under a prefix of its own, which costs one sequential write; there
// is no log, no memtable and no compaction. A write that fails fails at once and in the
// open, where Pebble's own write path would retry in the background while writers wait.
// A B+ tree (bbolt) would change a page for nearly every key, since keys are hashes.
//
// Memory: the block cache, and of each sstable an index that lives in it. The window keeps
// filters of its own, so that nearly every question about a key that is not here ends
// before it comes here.
package spill
