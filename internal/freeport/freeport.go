// Package freeport finds ports for servers that listen later, or again: while
// nobody listens there, no connection must be made from that port, which would
// be in the way of the next one who listens.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// Connections are made from the ports above, by default from 32768 on Linux and
// from 49152 elsewhere.
const lowest, span = 20000, 12000

// last is the last port that was tried, counted from the lowest. No port is given
// twice before all have been: who has an address may not listen there yet.
var last atomic.Uint32

func init() { last.Store(rand.Uint32N(span)) }

// Listen listens on such a port.
func Listen(host string) (*net.TCPListener, error) {
	err := errors.New("no port is free")
	for range 1000 {
		var listener net.Listener
		port := lowest + int(last.Add(1)%span)
		if listener, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			return listener.(*net.TCPListener), nil
		}
	}
	return nil, err
}

// Address returns an address on which nobody listens at this moment.
func Address(host string) (string, error) {
	listener, err := Listen(host)
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
