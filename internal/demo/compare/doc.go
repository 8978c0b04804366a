// Package compare reads the same tables of two databases and says in which rows they
// differ. It reads every column of every row of both, in the order of the key, and
// trusts nothing that a replicator says about itself.
package compare
