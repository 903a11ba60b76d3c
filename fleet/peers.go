package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// DNS returns a peers function for [NewShare] that looks a name up and gives
// each of its addresses the port: the name of a headless Service, in
// Kubernetes. Where the name has addresses of both families the IPv4 ones
// count, so that nobody is there twice.
func DNS(name, port string) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		if name == "" || port == "" {
			return nil, fmt.Errorf("DNS: the name %q or the port %q is empty", name, port)
		}
		addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		if err != nil {
			return nil, err
		}
		return ofOneFamily(addresses, port), nil
	}
}

func ofOneFamily(addresses []netip.Addr, port string) []string {
	var four, six []string
	for _, address := range addresses {
		address = address.Unmap()
		peer := net.JoinHostPort(address.String(), port)
		if address.Is4() {
			four = append(four, peer)
		} else {
			six = append(six, peer)
		}
	}
	if len(four) > 0 {
		return four
	}
	return six
}

// lister calls the user's peers function, which may not return.
type lister struct {
	list    func(context.Context) ([]string, error)
	running atomic.Bool
}

func (l *lister) call(ctx context.Context, patience time.Duration) (peers []string, err error) {
	if !l.running.CompareAndSwap(false, true) {
		return nil, errors.New("the peers function has not returned since an earlier poll")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	returned := make(chan struct{})
	var listed []string
	var failed error
	go func() {
		defer close(returned)
		defer l.running.Store(false)
		defer func() {
			if v := recover(); v != nil {
				listed, failed = nil, fmt.Errorf("the peers function panicked: %v", v)
			}
		}()
		listed, failed = l.list(ctx)
	}()
	select {
	case <-returned:
		return listed, failed
	case <-ctx.Done():
		return nil, fmt.Errorf("the peers function has not returned: %w", ctx.Err())
	}
}
