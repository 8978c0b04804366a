package resolver

import (
	"errors"
	"fmt"
	"slices"

	"github.com/zeebo/xxh3"
	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// StepLimit ends a rule that does not come to an end: Starlark's abstract computation
// steps per call.
const StepLimit = 1_000_000

// Error is what is wrong with a script, or went wrong in a rule, with its place.
type Error struct {
	File         string
	Line, Column int // from 1; 0 when there is no place
	Message      string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Script is a file of rules. It may be used concurrently.
type Script struct {
	name    string
	hash    uint64
	globals starlark.StringDict
}

// Load compiles source and runs its top level. name is used in messages and in the
// names of rules: the same at every site. The error is an *Error.
func Load(name string, source []byte) (*Script, error) {
	thread := newThread(name)
	options := &syntax.FileOptions{Set: true}
	globals, err := starlark.ExecFileOptions(options, thread, name, source, predeclared)
	if err != nil {
		return nil, errorOf(name, err)
	}
	globals.Freeze()
	return &Script{name: name, hash: xxh3.Hash(source), globals: globals}, nil
}

func newThread(name string) *starlark.Thread {
	t := &starlark.Thread{Name: name, Print: func(*starlark.Thread, string) {}}
	t.SetMaxExecutionSteps(StepLimit)
	return t
}

// Hash is that of the text.
func (s *Script) Hash() uint64 { return s.hash }

// Rules lists the functions of three arguments that a conflict could be decided by.
func (s *Script) Rules() []string {
	var names []string
	for name, v := range s.globals {
		if f, ok := v.(*starlark.Function); ok && takes(f, 3) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func takes(f *starlark.Function, n int) bool {
	required := 0
	for i := range f.NumParams() {
		if f.ParamDefault(i) == nil {
			required++
		}
	}
	if f.HasVarargs() {
		required--
	}
	if f.HasKwargs() {
		required--
	}
	return f.NumKwonlyParams() == 0 && required <= n && (f.HasVarargs() || f.NumParams() >= n)
}

// Resolver returns the rule that a function makes. The error is an *Error.
func (s *Script) Resolver(function string) (*conflict.Resolver, error) {
	v, ok := s.globals[function]
	if !ok {
		return nil, &Error{File: s.name, Message: fmt.Sprintf("there is no function %q", function)}
	}
	f, ok := v.(*starlark.Function)
	if !ok {
		return nil, &Error{File: s.name, Message: fmt.Sprintf("%q is a %s, not a function", function, v.Type())}
	}
	if !takes(f, 3) {
		p := f.Position()
		return nil, &Error{s.name, int(p.Line), int(p.Col), fmt.Sprintf("%s must take three arguments: older, newer, base", function)}
	}
	return &conflict.Resolver{
		Name: s.name + ":" + function,
		Hash: s.hash,
		Row: func(t *change.Table, older, newer, base []change.Value) ([]change.Value, error) {
			return s.row(f, t, older, newer, base)
		},
		Column: func(t *change.Table, column int, older, newer, base change.Value) (change.Value, error) {
			return s.column(f, &t.Columns[column], older, newer, base)
		},
	}, nil
}

func (s *Script) row(f *starlark.Function, t *change.Table, older, newer, base []change.Value) ([]change.Value, error) {
	args := make(starlark.Tuple, 3)
	for i, image := range [][]change.Value{older, newer, base} {
		v, err := rowOf(t, image)
		if err != nil {
			return nil, &Error{File: s.name, Message: err.Error()}
		}
		args[i] = v
	}
	out, err := starlark.Call(newThread(s.name), f, args, nil)
	if err != nil {
		return nil, errorOf(s.name, err)
	}
	image, err := imageOf(t, out, older, newer)
	if err != nil {
		p := f.Position()
		return nil, &Error{s.name, int(p.Line), int(p.Col), err.Error()}
	}
	return image, nil
}

func (s *Script) column(f *starlark.Function, c *change.Column, older, newer, base change.Value) (change.Value, error) {
	args := make(starlark.Tuple, 3)
	for i, v := range []change.Value{older, newer, base} {
		x, err := valueOf(c, v)
		if err != nil {
			return change.Value{}, &Error{File: s.name, Message: err.Error()}
		}
		args[i] = x
	}
	out, err := starlark.Call(newThread(s.name), f, args, nil)
	if err != nil {
		return change.Value{}, errorOf(s.name, err)
	}
	v, err := textOf(c, out, older, newer)
	if err != nil {
		p := f.Position()
		return v, &Error{s.name, int(p.Line), int(p.Col), "what it returns: " + err.Error()}
	}
	return v, nil
}

// errorOf gives an error of Starlark its place.
func errorOf(name string, err error) *Error {
	var bad syntax.Error
	var unresolved resolve.ErrorList
	var failed *starlark.EvalError
	switch {
	case errors.As(err, &bad):
		return &Error{name, int(bad.Pos.Line), int(bad.Pos.Col), bad.Msg}
	case errors.As(err, &unresolved) && len(unresolved) > 0:
		return &Error{name, int(unresolved[0].Pos.Line), int(unresolved[0].Pos.Col), unresolved[0].Msg}
	case errors.As(err, &failed):
		e := &Error{File: name, Message: failed.Msg}
		for _, frame := range slices.Backward(failed.CallStack) {
			if frame.Pos.Filename() == name && frame.Pos.Line > 0 {
				e.Line, e.Column = int(frame.Pos.Line), int(frame.Pos.Col)
				break
			}
		}
		if e.Message == "Starlark computation cancelled: too many steps" {
			e.Message = fmt.Sprintf("it does not come to an end: it was stopped after %d steps", StepLimit)
		}
		return e
	}
	return &Error{File: name, Message: err.Error()}
}
