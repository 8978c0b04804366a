package testcluster

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"testing"
)

// An address was given to an agent, which was not listening yet, and then to a server.
func TestAPortIsGivenOnce(t *testing.T) {
	if os.Getenv("CONCORD_TEST_PORTS") != "" { // the other process, see below
		for range 200 {
			port, err := FreePort()
			if err != nil {
				t.Fatal(err)
			}
			os.Stdout.WriteString(strconv.Itoa(port) + "\n")
		}
		os.Stdout.WriteString("all\n")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the first has compared
		return
	}
	given := map[int]string{}
	low, high := ephemeral()
	take := func(who string, port int) {
		if given[port] != "" {
			t.Errorf("port %d was given to %s and to %s", port, given[port], who)
		}
		given[port] = who
		if port >= low && port <= high {
			t.Errorf("port %d lies in the range %d to %d that the kernel gives away", port, low, high)
		}
	}
	for range 200 {
		port, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		take("this process", port)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), self, "-test.run", "^TestAPortIsGivenOnce$")
	other.Env = append(os.Environ(), "CONCORD_TEST_PORTS=1")
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "all" {
		port, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		take("the other process", port)
	}
	in.Close()
	for lines.Scan() { // its verdict
	}
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(given) != 400 {
		t.Errorf("%d ports were given, want 400", len(given))
	}
}

func TestAPortInUseIsNotGiven(t *testing.T) {
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	leases.Lock() // as after the end of the process that had it
	leases.files[port].Close()
	delete(leases.files, port)
	leases.Unlock()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if taken, err := lease(t.TempDir(), port); taken || err != nil {
		t.Errorf("port %d, on which somebody listens: given %v, %v", port, taken, err)
	}
}

func TestPortsBesideTheKernelsRange(t *testing.T) {
	for _, c := range []struct {
		low, high int
		want      [][2]int
	}{
		{32768, 60999, [][2]int{{10000, 32767}, {61000, 65535}}},
		{1024, 60999, [][2]int{{61000, 65535}}},
		{15000, 65535, [][2]int{{10000, 14999}}},
		{1024, 65535, [][2]int{{10000, 65535}}}, // nothing left
		{1024, 5000, [][2]int{{10000, 65535}}},
	} {
		if got := reservable(c.low, c.high); !reflect.DeepEqual(got, c.want) {
			t.Errorf("beside %d to %d: %v, want %v", c.low, c.high, got, c.want)
		}
	}
}
