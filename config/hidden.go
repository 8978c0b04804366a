package config

import (
	"fmt"
	"log/slog"
)

// hidden is text that may hold a password. In every format, log and encoding it
// shows itself without. The secret is behind a pointer: fmt prints that as an
// address where it cannot call methods (unexported fields).
type hidden struct {
	shown  string
	secret *string // as written; nil for the zero value
}

// String returns the text with passwords masked.
func (h hidden) String() string { return h.shown }

// Format writes the masked text, whatever the verb.
func (h hidden) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(f, "%q", h.shown)
		return
	}
	fmt.Fprint(f, h.shown)
}

// LogValue gives logs the masked text.
func (h hidden) LogValue() slog.Value { return slog.StringValue(h.shown) }

// MarshalText gives encoders the masked text.
func (h hidden) MarshalText() ([]byte, error) { return []byte(h.shown), nil }

// reveal returns the text as written.
func (h hidden) reveal() string {
	if h.secret == nil {
		return ""
	}
	return *h.secret
}
