package config

import (
	"regexp"
	"strings"
	"unicode"
)

// mask stands for a secret wherever one would be shown.
const mask = "xxxxx"

// excerptRunes is how much of a long line an excerpt shows.
const excerptRunes = 120

var (
	// secretKey finds the value of a key that is secret by its name: a key of TOML, of
	// libpq's key=value form, or a parameter of a URL.
	secretKey = regexp.MustCompile(`(?i)(?:password|passwd|pwd|secret|token)["']?\s*=\s*(["'].*|[^\s&"',}]+)`)
	// keyValueDSN finds a dsn in libpq's key=value form: a misspelled key in it may be
	// that of the password.
	keyValueDSN = regexp.MustCompile(`\bdsn["']?\s*=\s*([^/]*)$`)
	// notPort finds what stands in the place of a port and is none: it may be a
	// password that lacks its @.
	notPort = regexp.MustCompile(`//[^\[/?"',\s:]*:([^/?"',]*[^/?"',\d][^/?"',]*)`)
)

// excerpt returns the line with its secrets masked and, below it, carets under the
// bytes [from, to) of it.
func excerpt(line string, from, to int) string {
	line = strings.ToValidUTF8(line, "?")
	from = min(max(from, 0), len(line))
	to = min(max(to, from), len(line))
	line, from, to = hideSecrets(line, from, to)
	head, mark, tail := printable(line[:from]), printable(line[from:to]), printable(line[to:])

	if n := len(head) - excerptRunes/2; n > 0 && len(head)+len(mark)+len(tail) > excerptRunes {
		head = append([]rune("…"), head[n:]...)
	}
	if room := excerptRunes - len(head); len(mark) > room {
		mark, tail = append(mark[:room:room], '…'), nil
	} else if room -= len(mark); len(tail) > room {
		tail = append(tail[:room:room], '…')
	}
	text := strings.TrimRight(string(head)+string(mark)+string(tail), " ")
	return text + "\n" + strings.Repeat(" ", len(head)) + strings.Repeat("^", max(1, len(mark)))
}

// printable replaces what a terminal would act upon, one for one, so that carets
// stay in place.
func printable(s string) []rune {
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case r == '\t':
			runes[i] = ' '
		case !unicode.IsPrint(r):
			runes[i] = '?'
		}
	}
	return runes
}

// hideSecrets masks what is or may be a password, and moves the offsets from and
// to with the text. It would rather hide too much.
func hideSecrets(line string, from, to int) (string, int, int) {
	for _, s := range secretSpans(line) {
		cut := func(at int) int {
			switch {
			case at <= s.from:
				return at
			case at >= s.to:
				return at - (s.to - s.from) + len(mask)
			}
			return s.from
		}
		from, to = cut(from), cut(to)
		line = line[:s.from] + mask + line[s.to:]
	}
	return line, from, max(from, to)
}

// secretSpans finds secrets, last first, apart from each other.
func secretSpans(line string) []span {
	secret := make([]bool, len(line))
	hide := func(from, to int) {
		for i := from; i < to; i++ {
			secret[i] = true
		}
	}
	for _, m := range secretKey.FindAllStringSubmatchIndex(line, -1) {
		if strings.Contains(line[:m[0]], "//") {
			hide(m[2], m[3])
		} else {
			hide(m[2], len(line)) // not in a URL: how the value ends depends on too much
		}
	}
	if m := keyValueDSN.FindStringSubmatchIndex(line); m != nil {
		hide(m[2], m[3])
	}
	if at := strings.LastIndexByte(line, '@'); at >= 0 {
		hide(userStart(line[:at]), at)
	} else if m := notPort.FindStringSubmatchIndex(line); m != nil {
		hide(m[2], m[3])
	}
	if i := strings.Index(line, "//"); i >= 0 {
		if q := strings.IndexByte(line[i:], '?'); q >= 0 {
			hide(i+q+1, len(line)) // a misspelled parameter may be the password
		}
	}
	var spans []span
	for i := len(line); i > 0; i-- {
		if !secret[i-1] {
			continue
		}
		to := i
		for i > 0 && secret[i-1] {
			i--
		}
		spans = append(spans, span{i, to})
	}
	return spans
}

// userStart returns where the user and password before an @ begin at the earliest,
// however malformed the URL is.
func userStart(before string) int {
	if i := strings.Index(before, "//"); i >= 0 {
		return i + len("//")
	}
	return strings.IndexByte(before, '=') + 1
}
