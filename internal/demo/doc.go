// Package demo plays two data centres on one machine: two PostgreSQL servers, mumbai
// and pune, a small shop, the agents of both as child processes, and a load that
// writes at both sides and often the same rows. At its end the load stops, both sides
// catch up, and every row of both databases is compared.
//
// Nothing in it looks inside Concord: it writes the configuration, starts the
// program, asks its HTTP and reads the databases, as an operator would.
//
// Everything is in one directory (.demo): the servers' data, which a later start uses
// again, the agents' data and logs, the configuration, and demo.json, which tells the
// commands beside the demo where it runs.
package demo
