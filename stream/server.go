package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/concord-db/concord/internal/change"
)

// ServerOptions say what is not required of a Server. The zero value works.
type ServerOptions struct {
	// User and Password are asked of peers when set; the agent itself needs none
	// beside them.
	User, Password string
	// StartTimeout bounds the start, which reads the streams' files: default 60 s.
	StartTimeout time.Duration
	Logger       *slog.Logger // nil: silent
}

// Server is the bus inside the agent: a NATS server that keeps its streams in one
// directory and acknowledges a message when it is on disk. It lives and dies with
// the process.
type Server struct {
	name, listen, dir string
	options           ServerOptions

	log  *serverLog
	lock *flock.Flock
	nats *server.Server
}

// NewServer returns a server that is not started. It will listen on listen
// (host:port; port 0 takes a free one; "" only serves this process) and keep its
// data in dir, which is created.
func NewServer(name, listen, dir string, o ServerOptions) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = time.Minute
	}
	return &Server{name: name, listen: listen, dir: dir, options: o, log: &serverLog{log: o.Logger.With("component", "bus")}}
}

// Start takes the directory and the port and serves until Close. change.ErrStandby
// when another agent has the directory; change.ErrRefused when the address cannot
// be listened on.
func (s *Server) Start(ctx context.Context) error {
	options, err := s.serverOptions()
	if err != nil {
		return err
	}
	if err := s.takeDir(); err != nil {
		return err
	}
	if err := s.start(ctx, options); err != nil {
		s.Close()
		return err
	}
	return nil
}

// takeDir locks the data directory. The lock is the operating system's and goes
// with the process, however it ends.
func (s *Server) takeDir() error {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return fmt.Errorf("creating the data directory of the bus: %w", err)
	}
	path := filepath.Join(s.dir, "agent.lock")
	lock := flock.New(path)
	ok, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("locking %s: %w", path, err)
	}
	if !ok {
		return fmt.Errorf("%w: another agent%s uses the data directory %s", change.ErrStandby, holder(path), s.dir)
	}
	s.lock = lock
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o640); err != nil {
		s.Close()
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// holder reads who wrote the lock file, for the message only.
func holder(path string) string {
	b, err := os.ReadFile(path)
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

func (s *Server) serverOptions() (*server.Options, error) {
	o := &server.Options{
		ServerName: s.name,
		JetStream:  true,
		StoreDir:   s.dir,
		// An acknowledged frame lets the source's log go, so it must be on disk.
		// Frames hold many transactions: one fsync each is little.
		SyncAlways: true,
		// Streams have limits of their own. The default limit of the whole is the
		// free space at the start, and a stream that fitted once might not open again.
		JetStreamMaxStore:      1 << 50,
		JetStreamMaxMemory:     256 << 20,
		MaxPayload:             busPayload,
		NoSigs:                 true, // signals are the agent's
		NoSystemAccount:        true,
		DisableJetStreamBanner: true,
		Username:               s.options.User,
		Password:               s.options.Password,
	}
	if s.listen == "" {
		o.DontListen = true
		return o, nil
	}
	host, port, err := net.SplitHostPort(s.listen)
	if err != nil {
		return nil, fmt.Errorf("%w: the bus cannot listen on %q: %w", change.ErrRefused, s.listen, err)
	}
	if o.Port, err = strconv.Atoi(port); err != nil || o.Port < 0 || o.Port > 65535 {
		return nil, fmt.Errorf("%w: the bus cannot listen on %q: port %q", change.ErrRefused, s.listen, port)
	}
	o.Host = host
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
		return o, nil
	}
	return o, s.tryAddress()
}

// tryAddress tells early and plainly that the port is taken; the server itself
// would say so only to its log.
func (s *Server) tryAddress() error {
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("%w: the bus cannot listen on %s: is another agent of this site running? %w", change.ErrRefused, s.listen, err)
	}
	return l.Close()
}

func (s *Server) start(ctx context.Context, o *server.Options) error {
	ns, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("preparing the bus: %w", err)
	}
	s.nats = ns
	ns.SetLoggerV2(s.log, false, false, false)
	go ns.Start() // returns when the server is up or has given up
	deadline := time.Now().Add(s.options.StartTimeout)
	for !ns.ReadyForConnections(100 * time.Millisecond) {
		switch err := s.log.failed(); {
		case err != nil:
			return fmt.Errorf("starting the bus: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("starting the bus: not ready after %s", s.options.StartTimeout)
		}
	}
	if !ns.JetStreamEnabled() {
		return errors.Join(fmt.Errorf("starting the bus: JetStream is off"), s.log.failed())
	}
	return nil
}

// Connect returns a connection within the process. The caller closes it before it
// closes the server.
func (s *Server) Connect(ctx context.Context, name string) (*Bus, error) {
	d := Dial{Name: name, User: s.options.User, Password: s.options.Password, Lasting: true}
	options, err := d.options()
	if err != nil {
		return nil, err
	}
	options = append(append(options, d.reconnecting()...), nats.InProcessServer(s.nats))
	return connect(ctx, "", options)
}

// Addr is where the server listens, "" when it serves this process only.
func (s *Server) Addr() string {
	if s.nats == nil || s.nats.Addr() == nil {
		return ""
	}
	return s.nats.Addr().String()
}

// Close shuts the server down, waits for its files to be closed, and gives the
// directory back. Harmless when not started or closed before.
func (s *Server) Close() {
	if s.nats != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		s.nats = nil
	}
	if s.lock != nil {
		_ = s.lock.Unlock() // the process' end would do it too
		s.lock = nil
	}
}
