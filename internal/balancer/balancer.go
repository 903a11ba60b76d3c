// Package balancer is a load balancer for TCP connections, for examples and
// tests. As L4 balancers do, it assigns a connection once, when it comes, and
// never looks into it.
package balancer

import (
	"io"
	"net"
	"sync"
)

// Policy chooses the backend of a new connection, given how many connections
// each backend has. It is never called twice at once.
type Policy func(connections []int) int

// RoundRobin takes the backends in turn.
func RoundRobin() Policy {
	next := -1
	return func(connections []int) int {
		next = (next + 1) % len(connections)
		return next
	}
}

// LeastConnections takes the backend with the fewest connections, those with
// equally many in turn.
func LeastConnections() Policy {
	turn := -1
	return func(connections []int) int {
		turn = (turn + 1) % len(connections)
		best := turn
		for i := range connections {
			if i = (turn + i) % len(connections); connections[i] < connections[best] {
				best = i
			}
		}
		return best
	}
}

// Balancer passes connections on. Make one with Start and end it with Close.
type Balancer struct {
	listener net.Listener
	backends []string
	policy   Policy
	running  sync.WaitGroup

	mu          sync.Mutex
	connections []int
	open        map[net.Conn]struct{}
	closed      bool
}

// Start balances the connections of l over the backends, which are TCP
// addresses. It takes ownership of l.
func Start(l net.Listener, policy Policy, backends ...string) *Balancer {
	b := &Balancer{
		listener:    l,
		backends:    backends,
		policy:      policy,
		connections: make([]int, len(backends)),
		open:        make(map[net.Conn]struct{}),
	}
	b.running.Go(b.accept)
	return b
}

// Close closes the listener and all connections, and returns when nothing runs
// any more.
func (b *Balancer) Close() {
	b.mu.Lock()
	b.closed = true
	b.listener.Close()
	for c := range b.open {
		c.Close()
	}
	b.mu.Unlock()
	b.running.Wait()
}

func (b *Balancer) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		// Chosen here, and not by the goroutine, so that connections count in
		// the order in which they come.
		backend := b.assign()
		b.running.Go(func() {
			b.pass(client, b.backends[backend])
			b.release(backend)
		})
	}
}

func (b *Balancer) assign() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	backend := b.policy(b.connections)
	b.connections[backend]++
	return backend
}

func (b *Balancer) release(backend int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.connections[backend]--
}

// pass returns when both sides have closed.
func (b *Balancer) pass(client net.Conn, address string) {
	defer client.Close()
	if !b.enter(client) {
		return
	}
	defer b.leave(client)
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	if !b.enter(server) {
		return
	}
	defer b.leave(server)

	var back sync.WaitGroup
	back.Go(func() { copyUntilEnd(client, server) })
	copyUntilEnd(server, client)
	back.Wait()
}

// copyUntilEnd hands an end on as an end, so that the other direction lives on,
// and anything else as a close of both.
func copyUntilEnd(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	to.(*net.TCPConn).CloseWrite()
}

// enter notes that c is open; false means that the balancer is closed.
func (b *Balancer) enter(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.open[c] = struct{}{}
	}
	return !b.closed
}

func (b *Balancer) leave(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, c)
}
