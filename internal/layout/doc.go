// Package layout holds the test that pins which package may import which. The
// direction is that of the data: agents ask for what they need through interfaces
// of their own, engines and the stream provide it, cmd wires.
package layout
