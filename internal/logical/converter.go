package logical

// Converter returns what gives the text of a value of one type in another, as Convert
// does; nil when the texts are the same for every value. The pair is one that Pair does
// not refuse.
func Converter(from, to Type) func(text string) (string, error) {
	if from.sameAs(to) || passes(from, to) {
		return nil
	}
	return func(text string) (string, error) { return Convert(text, from, to) }
}

// passes reports whether every text of from is that of the same value in to.
func passes(from, to Type) bool {
	if from.Family != to.Family || Pair(from, to, false).Fit != Exact {
		return false
	}
	switch from.Family {
	case Bool, UUID, Interval, Int:
		return true
	case Text, Bytes:
		return !from.Fixed && !to.Fixed
	}
	return false
}
