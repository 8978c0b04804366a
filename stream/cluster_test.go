package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// cluster runs an operator's NATS of three servers and returns their URLs.
func cluster(t *testing.T) string {
	var ports []int
	var routes []*url.URL
	for range 3 {
		port, err := testcluster.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
	}
	var urls []string
	for i, port := range ports {
		urls = append(urls, external(t, func(o *server.Options) {
			o.ServerName = fmt.Sprintf("n%d", i)
			o.Cluster = server.ClusterOpts{Name: "ops", Host: "127.0.0.1", Port: port}
			o.Routes = routes
			o.SyncAlways = true
			o.MaxPayload = busPayload
		}))
	}
	return strings.Join(urls, ",")
}

// On a replicated stream, as on the embedded server's: a leader that steps down in
// the middle of the pipeline, and a second writer, leave one chain.
func TestReplicatedStream(t *testing.T) {
	urls := cluster(t)
	ctx := testContext(t)
	connect := func() *Bus {
		var b *Bus
		eventually(t, "the cluster is up", func() bool {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // without a leader nobody answers
			defer cancel()
			var err error
			b, err = ConnectExternal(ctx, Dial{URL: urls}, External{Replicas: 3, SyncAlways: true})
			return err == nil
		})
		return b
	}
	first, second := connect(), connect()
	defer first.Close()
	defer second.Close()
	if first.SyncDelay() != 0 {
		t.Errorf("sync delay %s", first.SyncDelay())
	}
	const last = 1000
	one := NewPublisher(first, "shop", "mumbai", PublisherOptions{})
	eventually(t, "the stream is created", func() bool {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err := one.Tail(ctx)
		return err == nil
	})
	stepDown := func() {
		m, err := second.nc.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+StreamName("shop", "mumbai"), nil)
		if err != nil || !strings.Contains(string(m.Data), `"success":true`) {
			t.Errorf("the leader does not step down: %v", err)
		}
	}
	stepDowns := []uint64{last / 4, last / 2}
	restarts := 0
	for done := false; !done; {
		tail, err := one.Tail(ctx)
		if err != nil {
			if errors.Is(err, change.ErrStandby) || errors.Is(err, change.ErrNeedsCopy) || ctx.Err() != nil {
				t.Fatal(err)
			}
			<-time.After(20 * time.Millisecond)
			continue
		}
		restarts++
		var ack change.Ack
		for seq := tail.Seq + 1; seq <= last && err == nil; seq++ {
			if len(stepDowns) > 0 && seq >= stepDowns[0] {
				stepDowns = stepDowns[1:]
				stepDown() // with frames in flight
			}
			ack, err = one.Publish(ctx, run("mumbai", seq, seq))
		}
		if err == nil && ack != nil {
			err = ack.Wait(ctx)
		}
		if errors.Is(err, change.ErrStandby) {
			t.Fatal(err)
		}
		done = err == nil
	}
	t.Logf("%d runs of the publisher", restarts)
	l := NewLog(first, "shop", "mumbai", "mumbai")
	eventually(t, "the new leader answers", func() bool {
		tail, err := l.Tail(ctx)
		return err == nil && tail.Seq == last
	})
	if got := seqs(readAgain(t, l, 0, last)); !slices.Equal(got, sequence(1, last)) {
		t.Errorf("stored %v", got)
	}

	two := NewPublisher(second, "shop", "mumbai", PublisherOptions{})
	if _, err := two.Tail(ctx); err != nil {
		t.Fatal(err)
	}
	publish(t, two, run("mumbai", last+1, last+1))
	ack, err := one.Publish(ctx, run("mumbai", last+1, last+1))
	if err == nil {
		err = ack.Wait(ctx)
	}
	if !errors.Is(err, change.ErrStandby) {
		t.Errorf("the writer that was replaced got %v, want standby", err)
	}
	if got := seqs(readAgain(t, l, last-1, last+1)); !slices.Equal(got, sequence(last, last+1)) {
		t.Errorf("stored %v", got)
	}
}
