// Package demo is the ten minutes that show Concord at work: two PostgreSQL servers
// in two "data centres" on this machine, an agent process for each, applications that
// write to both sides with deliberate conflicts, and at the end a comparison of both
// databases row by row.
package demo
