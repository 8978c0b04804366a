package demo

import "context"

// server is a site's database server: what the demo asks of it while it plays. Its
// methods may be called concurrently, but for those that start and end it.
type server interface {
	// Start starts it again after Stop or Kill and returns when it accepts connections,
	// at the address that it had.
	Start(ctx context.Context) error
	// Stop ends it in order and returns when it is gone. One that does not stop before
	// ctx ends goes on.
	Stop(ctx context.Context) error
	// Kill ends it as a crash does.
	Kill() error
	// Running reports whether its process exists.
	Running() bool
	// Close ends it in whatever state it is; its files stay.
	Close() error
}
