package config

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bus says where a site's NATS is: an address at which the agent runs one itself,
// or the URL of the operator's. It shows no password.
type Bus struct {
	endpoint
	// The rest is for an external bus only. Credentials is a NATS .creds file,
	// NkeySeed the file of an nkey seed, CA, Certificate and Key are PEM files; ""
	// when not used.
	Credentials, NkeySeed, CA, Certificate, Key string
	// Replicas of each stream: 1, 3 or 5; 0 when not set.
	Replicas int
	// SyncAlways is the operator's word that the servers sync each message to disk;
	// otherwise SyncInterval is theirs, 0 when not set.
	SyncAlways   bool
	SyncInterval time.Duration
}

// Embedded reports whether the site's agent runs the server itself.
func (b Bus) Embedded() bool { return b.embedded() }

// Address returns host:port of an embedded server, to listen on and to connect
// to; "" when the bus is external.
func (b Bus) Address() string { return b.listen }

// URL returns what clients connect to, with its password: nats://host:port, or
// several, comma separated.
func (b Bus) URL() string {
	if b.Embedded() {
		return "nats://" + b.listen
	}
	return b.reveal()
}

// endpoint is what the key bus says.
type endpoint struct {
	hidden // the secret is the URL as written, for an external bus
	listen string
}

func (e endpoint) embedded() bool { return e.listen != "" }

// parseBus reads host:port, nats://… or tls://….
func parseBus(s string) (endpoint, *fault) {
	if !strings.Contains(s, "://") {
		if f := checkAddress("bus", s); f != nil {
			return endpoint{}, f
		}
		host, _, _ := net.SplitHostPort(s)
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			return endpoint{}, &fault{"bus is an address that other sites cannot connect to",
				"write the address of this machine's interface: the agent listens on it and the others connect to it"}
		}
		return endpoint{hidden: hidden{shown: s}, listen: s}, nil
	}
	var shown []string
	for server := range strings.SplitSeq(s, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil {
			return endpoint{}, &fault{"bus is not a URL", "write nats://HOST:4222; in a password write @ as %40 and / as %2F"}
		}
		if u.Scheme != "nats" && u.Scheme != "tls" {
			return endpoint{}, &fault{"bus must be host:port, nats://… or tls://…",
				`"127.0.0.1:8422" for a server inside the agent, "nats://10.1.0.7:4222" for yours`}
		}
		if u.Hostname() == "" || u.Opaque != "" {
			return endpoint{}, &fault{"bus names no host", "write nats://HOST:4222"}
		}
		if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return endpoint{}, &fault{"bus has something after the host", "write nats://HOST:4222; in a password write @ as %40, / as %2F, ? as %3F and # as %23"}
		}
		if u.User != nil {
			if _, has := u.User.Password(); !has { // a lone name is a token
				u.User = url.UserPassword(mask, mask)
			}
		}
		shown = append(shown, u.Redacted())
	}
	return endpoint{hidden: hidden{shown: strings.Join(shown, ","), secret: &s}}, nil
}

// checkAddress says what is wrong with a host:port.
func checkAddress(key, s string) *fault {
	example := "write HOST:PORT, for example \"127.0.0.1:8480\""
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return &fault{key + " is not host:port", example}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return &fault{key + " needs a port from 1 to 65535", example}
	}
	if host == "" {
		return &fault{key + " names no host", example}
	}
	if net.ParseIP(host) == nil && strings.ContainsFunc(host, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return &fault{key + " is not host:port", example}
	}
	return nil
}

// loopback reports whether an address can be reached from its own machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
