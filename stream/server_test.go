package stream

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/concord-db/concord/internal/change"
)

// dial connects to the site's bus as a peer does.
func (s *site) dial(t *testing.T) *Bus {
	t.Helper()
	b, err := Connect(testContext(t), Dial{URL: s.addr, Name: "peer"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOneDataDirectoryServesOneAgent(t *testing.T) {
	s := newSite(t, "mumbai")
	second := NewServer("mumbai", "127.0.0.1:0", s.dir, ServerOptions{})
	err := second.Start(testContext(t))
	if !errors.Is(err, change.ErrStandby) || !strings.Contains(err.Error(), s.dir) {
		t.Fatalf("got %v, want standby that names %s", err, s.dir)
	}
	s.stop()
	if err := second.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	second.Close()
	s.start()
}

func TestATakenPortIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, listen := range []string{l.Addr().String(), "nowhere", "127.0.0.1:port", "127.0.0.1:70000"} {
		s := NewServer("mumbai", listen, t.TempDir(), ServerOptions{})
		if err := s.Start(testContext(t)); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), listen) {
			t.Errorf("listening on %s: %v, want a refusal", listen, err)
		}
		s.Close()
	}
}

func TestPeersNeedThePassword(t *testing.T) {
	s := NewServer("mumbai", "127.0.0.1:0", t.TempDir(), ServerOptions{User: "concord", Password: "s3cret"})
	ctx := testContext(t)
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	own, err := s.Connect(ctx, "own")
	if err != nil {
		t.Fatal(err)
	}
	own.Close()
	for _, test := range []struct {
		dial Dial
		ok   bool
	}{
		{Dial{URL: "nats://concord:s3cret@" + s.Addr()}, true},
		{Dial{URL: s.Addr(), User: "concord", Password: "s3cret"}, true},
		{Dial{URL: s.Addr()}, false},
		{Dial{URL: "nats://concord:wr0ng@" + s.Addr()}, false},
	} {
		b, err := Connect(ctx, test.dial)
		if (err == nil) != test.ok {
			t.Errorf("%v: %v", test.dial, err)
		}
		if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "wr0ng")) {
			t.Errorf("the password is shown: %v", err)
		}
		if b != nil {
			b.Close()
		}
	}
}

func TestConnectingEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	if _, err := Connect(ctx, Dial{URL: l.Addr().String()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// external runs an operator's server, as configured by edit.
func external(t *testing.T, edit func(*server.Options)) string {
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true}
	edit(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not come up")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s.ClientURL()
}

func TestAnExternalBusIsChecked(t *testing.T) {
	ctx := testContext(t)
	tests := []struct {
		name string
		edit func(*server.Options)
		want string
	}{
		{"without JetStream", func(o *server.Options) { o.JetStream = false }, "JetStream is not enabled"},
		{"with small messages", func(o *server.Options) { o.MaxPayload = 64 << 10 }, "max_payload"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ConnectExternal(ctx, Dial{URL: external(t, test.edit)}, External{})
			if !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a refusal that says %q", err, test.want)
			}
		})
	}
	t.Run("that may lose what it acknowledged", func(t *testing.T) {
		b, err := ConnectExternal(ctx, Dial{URL: external(t, func(*server.Options) {})}, External{})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if b.SyncDelay() != serverSyncInterval {
			t.Errorf("the log may be released after %s", b.SyncDelay())
		}
		p := NewPublisher(b, "shop", "mumbai", PublisherOptions{})
		if _, err := p.Tail(ctx); err != nil {
			t.Fatal(err)
		}
		publish(t, p, run("mumbai", 1, 20))
		if got := seqs(read(t, NewLog(b, "shop", "mumbai", "mumbai"), 5, 20)); !slices.Equal(got, sequence(6, 20)) {
			t.Errorf("read %v", got)
		}
	})
}

func TestURLsAreShownWithoutSecrets(t *testing.T) {
	got := redact(Dial{URL: "a:4222, tls://user:pass@b ,nats://token@c:1"}.urls())
	if want := "nats://a:4222,tls://b,nats://c:1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNamesBecomeTokensThatStayDifferent(t *testing.T) {
	names := []string{"a_b", "a-b", "a.b", "a b", "a=b", "a>b", "a*b", "A_B", "a", "b_c", "=5F", "münchen", "a\r\nb"}
	seen := map[string]string{}
	for _, cluster := range names {
		for _, site := range names {
			for _, name := range []string{StreamName(cluster, change.Site(site)), CopyName(cluster, "a", change.Site(site))} {
				if strings.ContainsAny(name, ". *>/\\\r\n\t") {
					t.Errorf("%q is no stream name", name)
				}
				pair := cluster + "\x00" + site
				if other, ok := seen[name]; ok && other != pair {
					t.Errorf("%q and %q are both %s", pair, other, name)
				}
				seen[name] = pair
			}
		}
	}
}
