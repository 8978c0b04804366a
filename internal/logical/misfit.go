package logical

import (
	"strconv"
	"strings"
)

// misfitMark begins the text that stands for a value without counterpart, misfitEnd ends
// the reason in it. U+FDD0 is a character that no text is meant to have, and that every
// database can keep.
const (
	misfitMark = "\uFDD0concord: no counterpart here: "
	misfitEnd  = "\uFDD0"
)

// Misfit is what stands for a value that has no counterpart at a site: it is told apart
// from every other value, and says why. It is never written to a database: the change
// that brings it is parked.
func Misfit(text string, why error) string {
	return misfitMark + why.Error() + misfitEnd + strconv.Quote(text)
}

// MisfitOf returns why the value has no counterpart, when text stands for such a one.
func MisfitOf(text string) (why string, ok bool) {
	rest, ok := strings.CutPrefix(text, misfitMark)
	if !ok {
		return "", false
	}
	why, _, _ = strings.Cut(rest, misfitEnd)
	return why, true
}
