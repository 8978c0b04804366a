package testcluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// leases are the ports given to this process: its lock on each one's file ends with it.
var leases struct {
	sync.Mutex
	files map[int]*os.File
}

// FreeAddr returns FreePort's port as an address, 127.0.0.1:port.
func FreeAddr() (string, error) {
	port, err := FreePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

// FreePort returns a loopback port that nothing listens on, and gives no port twice:
// not in this process and, while this process lives, not in another of the same user.
// Whoever gets one may listen on it late, or stop and listen again: it lies outside the
// range from which the kernel gives ports to outgoing connections and to listeners on
// port 0, so nobody is given it in between.
func FreePort() (int, error) {
	ranges := reservable(ephemeral())
	size := 0
	for _, r := range ranges {
		size += r[1] - r[0] + 1
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("concord-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	for range size {
		n, port := rand.IntN(size), 0
		for _, r := range ranges {
			if port = r[0] + n; port <= r[1] {
				break
			}
			n -= r[1] - r[0] + 1
		}
		taken, err := lease(dir, port)
		if err != nil {
			return 0, fmt.Errorf("finding a free port: %w", err)
		}
		if taken {
			return port, nil
		}
	}
	return 0, errors.New("finding a free port: none left on 127.0.0.1; stop what listens there")
}

// lease takes the port for this process, unless somebody has it or listens on it.
func lease(dir string, port int) (bool, error) {
	leases.Lock()
	defer leases.Unlock()
	if leases.files[port] != nil {
		return false, nil
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, err
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return false, f.Close()
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false, f.Close()
	}
	if err := l.Close(); err != nil {
		return false, errors.Join(err, f.Close())
	}
	if leases.files == nil {
		leases.files = map[int]*os.File{}
	}
	leases.files[port] = f
	return true, nil
}

// ephemeral is the range of ports that the kernel gives away by itself.
func ephemeral() (low, high int) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if fields := strings.Fields(string(text)); err == nil && len(fields) == 2 {
		low, err1 := strconv.Atoi(fields[0])
		high, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			return low, high
		}
	}
	return 32768, 60999 // the kernel's default
}

// reservable is what is left beside the ephemeral range, of the ports from 10000 on,
// below which well-known services live. A machine that leaves next to nothing is used
// whole: a port of the ephemeral range is better than none.
func reservable(low, high int) (ranges [][2]int) {
	const first, last = 10000, 65535
	size := 0
	for _, r := range [][2]int{{first, min(low-1, last)}, {max(high+1, first), last}} {
		if r[0] <= r[1] {
			ranges = append(ranges, r)
			size += r[1] - r[0] + 1
		}
	}
	if size < 1000 {
		return [][2]int{{first, last}}
	}
	return ranges
}
