// Package agents runs Concord's agents as child processes, as an operator's service
// manager would, and asks them over HTTP how they are. The demo and the benchmarks
// use it: both look at the program from outside only.
package agents
