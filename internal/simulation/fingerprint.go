package simulation

import (
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// fingerprint is a hash of everything that decides what can still happen in an explored
// world: the databases, the streams and their copies, all that the agents remember,
// which transactions are to come, and which faults. It walks the memory of the production
// code from the agents on, whatever their types, so nothing that is added there is
// forgotten here. Left out is what no decision reads: wall clock times, statistics,
// functions, channels and locks. Between two steps no goroutine and no transaction is
// under way, so nothing hides on a stack.
func (e *explored) fingerprint() uint64 {
	h := hasher{on: map[uintptr]bool{}}
	sum := h.of(reflect.ValueOf(e.done)) + 31*h.of(reflect.ValueOf(e.left)) + 37*h.of(reflect.ValueOf(e.w.now.UnixNano()))
	for i, s := range e.w.sites {
		parts := []any{s.db, s.own, s.copies, s.pub.late, s.agents != nil, e.sent[i]}
		if a := s.agents; a != nil {
			parts = append(parts, a.window, a.capture, a.apply, a.steps, a.reader, a.ready)
		}
		for _, p := range parts {
			sum = mix(sum, h.of(reflect.ValueOf(p)))
		}
	}
	return sum
}

// mix combines two hashes, the order of which matters.
func mix(a, b uint64) uint64 {
	a = (a*0xff51afd7ed558ccd + 0x9e3779b97f4a7c15) ^ b
	a *= 0xc4ceb9fe1a85ec53
	return a ^ a>>29
}

type fieldOf struct{ structure, field string }

// beside are fields that no decision between two steps reads: a counter that is compared
// within a step, and how long something took.
var beside = map[fieldOf]bool{
	{"conflict.Window", "version"}: true,
	{"apply.parkedKeys", "took"}:   true,
}

type hasher struct {
	on map[uintptr]bool // pointers being walked
}

// passed over: no decision reads them, or they are the same in every world.
var passedOver = map[reflect.Type]bool{
	reflect.TypeFor[time.Time]():        true,
	reflect.TypeFor[apply.LinkStatus](): true, // but see LinkStatus.Applied in the database
	reflect.TypeFor[apply.Options]():    true,
	// The world itself, of which fingerprint takes the parts.
	reflect.TypeFor[*World]():  true,
	reflect.TypeFor[*site]():   true,
	reflect.TypeFor[*agents](): true,
}

func (h *hasher) of(v reflect.Value) uint64 {
	if !v.IsValid() {
		return 1
	}
	if passedOver[v.Type()] || v.Type().PkgPath() == "sync" {
		return 2
	}
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return 3
		}
		return 5
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return mix(7, uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return mix(11, v.Uint())
	case reflect.Float32, reflect.Float64:
		return mix(13, math.Float64bits(v.Float()))
	case reflect.String:
		return text(v.String())
	case reflect.Interface:
		return h.of(v.Elem())
	case reflect.Pointer:
		return h.pointer(v)
	case reflect.Struct:
		return h.structure(v)
	case reflect.Slice, reflect.Array:
		sum := mix(17, uint64(v.Len()))
		for i := range v.Len() {
			sum = mix(sum, h.of(v.Index(i)))
		}
		return sum
	case reflect.Map:
		sum := mix(19, uint64(v.Len()))
		for it := v.MapRange(); it.Next(); {
			sum += mix(h.of(it.Key()), h.of(it.Value())) // in any order
		}
		return sum
	}
	return 23
}

func (h *hasher) pointer(v reflect.Value) uint64 {
	if v.IsNil() {
		return 29
	}
	if t, ok := tableOf(v); ok {
		return t
	}
	p := v.Pointer()
	if h.on[p] {
		return 41 // a way back
	}
	h.on[p] = true
	defer delete(h.on, p)
	return h.of(v.Elem())
}

// tableOf is the hash of a table's shape: there is one of each name.
func tableOf(v reflect.Value) (uint64, bool) {
	if v.Type() != reflect.TypeFor[*change.Table]() {
		return 0, false
	}
	return text(v.Elem().FieldByName("Name").String()), true
}

func (h *hasher) structure(v reflect.Value) uint64 {
	t := v.Type()
	switch pkg := t.PkgPath(); {
	case pkg == "sync", pkg == "sync/atomic", pkg == "context", pkg == "math/rand/v2", strings.HasPrefix(pkg, "log/"):
		return 43
	}
	sum := uint64(47)
	for i := range t.NumField() {
		if beside[fieldOf{t.String(), t.Field(i).Name}] {
			continue
		}
		sum = mix(sum, h.of(v.Field(i)))
	}
	return sum
}

func text(s string) uint64 {
	sum := uint64(14695981039346656037)
	for i := range len(s) {
		sum = (sum ^ uint64(s[i])) * 1099511628211
	}
	return sum
}
