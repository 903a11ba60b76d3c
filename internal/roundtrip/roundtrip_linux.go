// Package roundtrip makes a network with a long round trip on one machine, for what
// only shows when a handshake takes its time.
//
// The network is one TUN device and a mirror behind it. Whoever connects to
// [Beyond4] or [Beyond6] meets, after half a round trip, the sockets of his own
// network namespace: the mirror swaps a packet's source and destination and gives
// it back, and so it does with the answer. No checksum changes, since each is a sum.
//
//	client  10.77.0.1 → 10.77.0.2  SYN      to the device
//	mirror  10.77.0.2 → 10.77.0.1  SYN      a while later, from the device
//	server  10.77.0.1 → 10.77.0.2  SYN-ACK  to the device
//	mirror  10.77.0.2 → 10.77.0.1  SYN-ACK  a while later, to the client
package roundtrip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// The addresses on the two sides of the mirror.
const (
	Here4   = "10.77.0.1"
	Beyond4 = "10.77.0.2"
	Here6   = "fd77::1"
	Beyond6 = "fd77::2"
)

// Namespace makes a child process start in a network namespace of its own, which
// needs the superuser.
func Namespace() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
}

// Loopback makes the loopback device of a new network namespace work. It needs
// CAP_NET_ADMIN and the command ip.
func Loopback() error { return ip("link set lo up") }

func ip(command string) error {
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", command, err, out)
	}
	return nil
}

// Mirror makes the network, in the process's network namespace and for the rest of
// its life. It loses this share of the packets, 0 to 1, in each direction. It needs
// what Loopback needs, and /dev/net/tun.
func Mirror(roundTrip time.Duration, loss float64) error {
	device, err := openDevice("mirror")
	if err != nil {
		return err
	}
	for _, command := range []string{
		"link set lo up",                       // to reach Here from here
		"link set mirror txqueuelen 100000 up", // a busy mirror drops nothing
		"address add " + Here4 + "/24 dev mirror",
		"address add " + Here6 + "/64 dev mirror nodad",
	} {
		if err := ip(command); err != nil {
			return err
		}
	}
	underway := make(chan packet, 1<<12)
	go read(device, roundTrip/2, loss, underway)
	go write(device, underway)
	return nil
}

// openDevice makes a TUN device, which ends with its descriptor.
func openDevice(name string) (*os.File, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	// A struct ifreq of linux/if.h with a name and flags, those of linux/if_tun.h.
	const tunsetiff, iffTun, iffNoPI = 0x400454ca, 0x0001, 0x1000
	var request [40]byte
	copy(request[:16], name)
	binary.NativeEndian.PutUint16(request[16:], iffTun|iffNoPI)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), tunsetiff, uintptr(unsafe.Pointer(&request))); errno != 0 {
		syscall.Close(fd)
		return nil, fmt.Errorf("TUNSETIFF: %w", errno)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

type packet struct {
	content []byte
	due     time.Time
}

func read(device *os.File, delay time.Duration, loss float64, to chan<- packet) {
	defer close(to)
	buffer := make([]byte, 1<<16)
	for {
		n, err := device.Read(buffer)
		if err != nil {
			return
		}
		if mirrored(buffer[:n]) && rand.Float64() >= loss {
			to <- packet{bytes.Clone(buffer[:n]), time.Now().Add(delay)}
		}
	}
}

// mirrored swaps source and destination, and reports whether it is a packet of IP.
func mirrored(p []byte) bool {
	from, size := 12, 4
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
	case len(p) >= 40 && p[0]>>4 == 6:
		from, size = 8, 16
	default:
		return false
	}
	var source [16]byte
	copy(source[:size], p[from:])
	copy(p[from:from+size], p[from+size:])
	copy(p[from+size:], source[:size])
	return true
}

func write(device *os.File, from <-chan packet) {
	for p := range from {
		time.Sleep(time.Until(p.due))
		if _, err := device.Write(p.content); errors.Is(err, os.ErrClosed) {
			return
		}
	}
}
