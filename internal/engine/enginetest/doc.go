// Package enginetest is the conformance suite of the engines. What the agents rely
// on, and no engine may do differently, is tested here once and run for each:
//
//   - every type there and back: application, log, change.Value, target, log
//   - replicated transactions come back as their mark and nothing else
//   - the log is in commit order; reading resumes exactly where it is told to,
//     whatever was killed in between
//   - a checkpoint moves with its rows or not at all
//   - large transactions pass in bounded memory
//   - schema changes take effect at their place in the log
//   - errors have the class that decides what becomes of a change
//
// The suite knows an engine by capture.Source, capture.Beater and apply.Target, and
// by a Fixture that makes prepared databases and speaks to them as an application.
package enginetest
