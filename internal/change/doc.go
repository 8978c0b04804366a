// Package change is the vocabulary every other package speaks: sites, versions,
// positions, transactions, rows and values. It holds data and the pure functions
// on it. It does no I/O, knows no database, no bus and no policy, and imports
// nothing but the standard library.
package change
