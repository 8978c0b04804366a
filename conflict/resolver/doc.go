// Package resolver makes conflict.Resolvers of rules that users write in Starlark
// (https://github.com/google/starlark-go/blob/master/doc/spec.md):
//
//	def order_status(older, newer, base):
//	    rank = ["new", "paid", "packed", "shipped", "returned"]
//	    if rank.index(older.status) > rank.index(newer.status):
//	        return newer.replace(status = older.status)
//	    return newer
//
// A rule must give the same at every site, so it sees nothing but its arguments: every
// call has a fresh thread, globals are frozen, there is no load, no file, no clock, no
// chance, no recursion and no while, and after StepLimit steps it is ended.
//
// Values are exact. Integers are Starlark integers of any size; decimals are a type of
// their own that adds, subtracts and multiplies without rounding and never mixes with
// floats; dates and times are compared and handed on, not reckoned with; bytes are
// bytes; everything else is text. NULL is None.
package resolver
