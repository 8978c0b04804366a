package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// busPayload is the greatest message the embedded server carries, and the most
	// that is asked of any other: with it a row of some megabytes passes.
	busPayload = 8 << 20
	// headerRoom is what the headers of a message may take of it.
	headerRoom = 4 << 10
	// apiTimeout bounds one request to JetStream when its caller's context does not.
	apiTimeout = 5 * time.Second
	// ackTimeout bounds the wait for a stored frame; a frame that timed out may have
	// been stored all the same.
	ackTimeout = 10 * time.Second
)

// Dial says how to reach a bus over the network.
type Dial struct {
	// URL is host:port, a nats:// or tls:// URL, or a comma list of them; it may
	// carry user:password@. It is never shown whole.
	URL string
	// Name tells operators of the server who this is.
	Name string
	// User and Password, for a server that wants them and a URL that has none.
	User, Password string
	// Credentials is a NATS .creds file, NkeySeed the file of an nkey seed; at most
	// one is set.
	Credentials, NkeySeed string
	// CA, Certificate and Key are PEM files for TLS; empty: the system's roots and
	// no client certificate.
	CA, Certificate, Key string
	// Lasting makes the connection come back by itself when it is lost. Without it
	// the first loss ends it: for those who reconnect in their own way.
	Lasting bool
}

// Bus is a connection to one NATS. All methods may be called concurrently.
type Bus struct {
	nc *nats.Conn
	js jetstream.JetStream
	// closed is closed when the connection has ended for good.
	closed chan struct{}
	// maxPayload is the greatest payload of one frame.
	maxPayload int
	// syncDelay is 0 where an acknowledged message is on disk.
	syncDelay time.Duration
	replicas  int
}

// Connect connects to a bus over the network. The caller closes it.
func Connect(ctx context.Context, d Dial) (*Bus, error) {
	options, err := d.options()
	if err != nil {
		return nil, err
	}
	return connect(ctx, d.urls(), append(options, d.reconnecting()...))
}

func (d Dial) urls() string {
	var urls []string
	for u := range strings.SplitSeq(d.URL, ",") {
		if u = strings.TrimSpace(u); u == "" {
			continue
		}
		if !strings.Contains(u, "://") {
			u = "nats://" + u
		}
		urls = append(urls, u)
	}
	return strings.Join(urls, ",")
}

func (d Dial) options() ([]nats.Option, error) {
	options := []nats.Option{nats.Name(d.Name), nats.Timeout(apiTimeout), nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2)}
	if d.User != "" {
		options = append(options, nats.UserInfo(d.User, d.Password))
	}
	if d.Credentials != "" {
		options = append(options, nats.UserCredentials(d.Credentials))
	}
	if d.NkeySeed != "" {
		o, err := nats.NkeyOptionFromSeed(d.NkeySeed)
		if err != nil {
			return nil, fmt.Errorf("reading the nkey seed %s: %w", d.NkeySeed, err)
		}
		options = append(options, o)
	}
	if d.CA != "" {
		options = append(options, nats.RootCAs(d.CA))
	}
	if d.Certificate != "" {
		options = append(options, nats.ClientCert(d.Certificate, d.Key))
	}
	return options, nil
}

// reconnecting keeps nothing to be sent later: what could not be sent is an error
// at once, and its sender reads the stream's end before it goes on.
func (d Dial) reconnecting() []nats.Option {
	if !d.Lasting {
		return []nats.Option{nats.NoReconnect()}
	}
	return []nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectBufSize(-1)}
}

// connect dials and gives up with ctx. A connection that comes too late is closed.
func connect(ctx context.Context, urls string, options []nats.Option) (*Bus, error) {
	type result struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan result, 1)
	closed := make(chan struct{})
	options = append(options, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	go func() {
		nc, err := nats.Connect(urls, options...)
		done <- result{nc, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("connecting to the bus at %s: %w", redact(urls), r.err)
		}
		return newBus(r.nc, closed)
	case <-ctx.Done():
		go func() {
			if r := <-done; r.nc != nil {
				r.nc.Close()
			}
		}()
		return nil, fmt.Errorf("connecting to the bus at %s: %w", redact(urls), ctx.Err())
	}
}

func newBus(nc *nats.Conn, closed chan struct{}) (*Bus, error) {
	b := &Bus{nc: nc, closed: closed, maxPayload: int(min(nc.MaxPayload(), busPayload)) - headerRoom, replicas: 1}
	var err error
	if b.js, err = b.jetstream(); err != nil {
		nc.Close()
		return nil, err
	}
	return b, nil
}

// jetstream returns a JetStream client with publish state of its own: each writer
// has one.
func (b *Bus) jetstream() (jetstream.JetStream, error) {
	js, err := jetstream.New(b.nc, jetstream.WithDefaultTimeout(apiTimeout),
		jetstream.WithPublishAsyncTimeout(ackTimeout), jetstream.WithPublishAsyncMaxPending(1<<16))
	if err != nil {
		return nil, fmt.Errorf("preparing JetStream: %w", err)
	}
	return js, nil
}

// Close ends the connection.
func (b *Bus) Close() { b.nc.Close() }

// Connected reports whether the connection is up now.
func (b *Bus) Connected() bool { return b.nc.IsConnected() }

// SyncDelay is how long after its acknowledgement a frame may still be lost to a
// power failure at the bus: 0 when acknowledged means on disk. A source's log
// should not be released earlier than that after the Ack.
func (b *Bus) SyncDelay() time.Duration { return b.syncDelay }

// MaxPayload is the most bytes an encoded frame may have here.
func (b *Bus) MaxPayload() int { return b.maxPayload }

// redact leaves out user, password and token of a list of URLs.
func redact(urls string) string {
	list := strings.Split(urls, ",")
	for i, u := range list {
		if at := strings.LastIndex(u, "@"); at >= 0 {
			scheme, _, _ := strings.Cut(u, "://")
			list[i] = scheme + "://" + u[at+1:]
		}
	}
	return strings.Join(list, ",")
}

// errAPI returns the JetStream error code in err, or 0.
func errAPI(err error) jetstream.ErrorCode {
	var e jetstream.JetStreamError
	if errors.As(err, &e) && e.APIError() != nil {
		return e.APIError().ErrorCode
	}
	return 0
}
