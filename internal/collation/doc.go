// Package collation says which texts a collation of MySQL or MariaDB holds equal, without
// asking a server: it brings a text into a form in which equal ones read the same. The
// tables are what the servers themselves say of every character; a test of the engine
// compares them with the servers. It does no I/O.
package collation
