package spill

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// quiet keeps what the library has to tell from the agent's log: what matters comes as
// an error.
type quiet struct{}

var _ pebble.Logger = quiet{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// Fatalf is what the library calls when it cannot go on (its list of files could not be
// written), and must not return. That is no reason for the agent to end: guard makes an
// error of it.
func (quiet) Fatalf(format string, args ...any) { panic(fatalError(fmt.Sprintf(format, args...))) }

type fatalError string

func (f fatalError) Error() string { return string(f) }

// guard calls f. Once the library could not go on it is not called again.
func (s *Store) guard(f func() error) (err error) {
	if s.dead.Load() {
		return fmt.Errorf("the spill files could not be written before")
	}
	defer func() {
		if p := recover(); p != nil {
			gone, ok := p.(fatalError)
			if !ok {
				panic(p)
			}
			s.dead.Store(true)
			err = gone
		}
	}()
	return f()
}
