// Package freeport finds ports for servers that listen later, or again: while
// nobody listens there, no connection must be made from that port, which would
// be in the way of the next one who listens, and no other process must be given it.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
)

// Connections are made from the ports above these, by default from 32768 on Linux
// and from 49152 elsewhere.
const lowest, blocks, span = 20000, 24, 500

// block returns the first port of this process's block.
var block = sync.OnceValue(func() (first int) {
	start := rand.IntN(blocks)
	if first, owner = take(start); owner == nil {
		return lowest + start*span
	}
	return first
})

// owner keeps the block: the garbage collector would close it.
var owner net.Listener

// take takes the first block from start on that nobody has: who listens on a block's
// first port has it, until that process ends. Tests of several packages run at a time.
func take(start int) (first int, owner net.Listener) {
	for n := range blocks {
		first = lowest + (start+n)%blocks*span
		if owner, err := listen("127.0.0.1", first); err == nil {
			return first, owner
		}
	}
	return 0, nil
}

// last is the last port that was tried, counted from the block's first one. No port
// is given twice before all have been: who has an address may not listen there yet.
var last atomic.Uint32

// Listen listens on such a port.
func Listen(host string) (*net.TCPListener, error) {
	err := errors.New("no port is free")
	for range span {
		port := block() + 1 + int(last.Add(1)%(span-1))
		var listener net.Listener
		if listener, err = listen(host, port); err == nil {
			return listener.(*net.TCPListener), nil
		}
	}
	return nil, err
}

func listen(host string, port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}

// Address returns an address on which nobody listens at this moment.
func Address(host string) (string, error) {
	listener, err := Listen(host)
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
