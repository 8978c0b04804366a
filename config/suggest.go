package config

import "strings"

// didYouMean returns "; did you mean …?" for the known word nearest to what was
// written, or nothing when none is near.
func didYouMean(written string, known []string) string {
	if w := nearest(written, known); w != "" {
		return "; did you mean \"" + w + "\"?"
	}
	return ""
}

// nearest returns the known word that differs least from what was written, or ""
// when all differ by more than a slip of the hand. Case and the kind of dash do not
// count, and a word that only stops short of one known word is that word.
func nearest(written string, known []string) string {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }
	w := plain(written)
	if len(w) > 64 {
		return ""
	}
	best, least := "", max(1, len(w)/3)+1
	for _, k := range known {
		if n := distance(w, plain(k)); n < least {
			best, least = k, n
		}
	}
	if best != "" || len(w) < 3 {
		return best
	}
	for _, k := range known {
		if strings.HasPrefix(plain(k), w) || strings.HasPrefix(w, plain(k)+"_") {
			if best != "" {
				return ""
			}
			best = k
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			replace := prev[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// DidYouMean is the known word nearest to a name that a person wrote, as the end of a
// sentence: `; did you mean "price"?`, or nothing when none is near.
func DidYouMean(written string, known []string) string { return didYouMean(written, known) }
