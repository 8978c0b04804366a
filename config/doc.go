// Package config reads the one TOML file that all sites share: the cluster, its
// sites, the defaults and the table rules.
//
// # One reading, every problem
//
// A file is read in three steps. The document keeps every key and value with its
// place in the file (document.go, the only file that uses the TOML library's
// parser). A reader walks the document, fills a Config and notes what is wrong on
// the way: unknown keys, wrong types, values out of range, names of sites that do
// not exist. Nothing stops at the first problem, but a syntax error, after which
// the rest of the file cannot be trusted. Last, the TOML library decides whether
// the document is TOML at all: the reader is lenient where the grammar is strict.
// The problems are returned together, sorted by place, as Errors.
//
// Decoding into structs by reflection was not chosen: it stops at the first wrong
// type, names Go types in its messages and loses the places that the later checks
// need.
//
// # Secrets
//
// A DSN and the URL of an external bus may contain a password. Both are types that
// show it in no format, log or encoding; whoever connects asks for it by name
// (Site.ConnString, Bus.URL). Excerpts of the file in error messages hide it too.
package config
