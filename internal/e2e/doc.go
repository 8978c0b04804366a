// Package e2e holds the tests of whole sites: real PostgreSQL servers, real agent
// processes, real faults. Each scenario ends the same way: stop the load, wait until
// everything has arrived, compare both databases row by row.
package e2e
