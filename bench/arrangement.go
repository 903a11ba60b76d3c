package main

import (
	"net"
	"net/http"
)

// arrangement is one way to stand between net/http and an application.
type arrangement struct {
	name string
	base string // the name of the arrangement that this one is compared with
	// build puts it around the application. Its limits keep every connection, but
	// with ends they end every one with its first responses: that is for the
	// tests, which see by it that what is measured is really in place.
	build func(application http.HandlerFunc, ends bool) (stack, error)
}

// stack is an arrangement around an application.
type stack struct {
	handler      http.Handler
	writesHeader bool // of the framework
	// entered, if set, is the handler behind an entry of its own, for a server that
	// recorded has prepared: its connections are known and there is no entry, so
	// that one of its handlers can go through whole exchanges again and again.
	entered  http.Handler
	recorded func(*http.Server, net.Listener) (net.Listener, error)
	// prepare, if set, lets the arrangement know of the server's connections.
	prepare func(*http.Server, net.Listener) (net.Listener, error)
	// stop, if set, ends what runs in the background. Its error says that something
	// else was measured.
	stop func() error
}

// arrangements begins with what the others are compared with, framework by
// framework.
func arrangements(p protocol) []arrangement {
	all := append(append([]arrangement{bare(netHTTP)}, polite(netHTTP)...), observed(netHTTP))
	if p == http2 {
		return append(all, eagerHeader(), snooped(), connectionTTL(), goawayChance())
	}
	all = append(all, eagerHeader(), snooped(), connectionTTL(), keepAliveLimits())
	for _, f := range []framework{chiRouter, ginEngine, echoV4, echoV5} {
		all = append(append(all, bare(f)), polite(f)...)
	}
	return all
}
