// Package politeclose is the page of a module that ends the connections of HTTP
// servers without losing anybody's request. It has no code: import the packages
// below it.
//
// # A drain
//
// Import core and stdlib. A Controller of core holds the rules, and stdlib.Serve
// serves an http.Server and drains it on a signal; no middleware is needed:
//
//	ctl, err := core.New()
//	…
//	http.Handle("GET /readyz", stdlib.Ready(ctl))
//	srv := &http.Server{Addr: ":8080"}
//	report, err := stdlib.Serve(ctx, srv, ctl, stdlib.Signals())
//
// A program that calls ListenAndServe itself uses stdlib.Track and
// stdlib.Shutdown.
//
// # Routes in a framework's own syntax
//
// chiadapter, ginadapter, echoadapter (version 4) and echov5adapter (a module of
// its own) tell the rules which route served a request.
//
// # Rules that need more
//
// core/load has the signals for core.OnLoad. fleet knows a replica's fair share of
// the fleet's connections, for core.OnExcess.
//
// # Seeing it
//
// statuspage is a page and its JSON. promadapter and oteladapter, modules of their
// own, are for Prometheus and OpenTelemetry.
package politeclose
