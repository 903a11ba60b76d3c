// Package stdlib brings politeclose to net/http: the middleware, the tracking of
// connections, the listener whose connections close without destroying the last
// response, and [Serve], which drains a server without losing a request.
//
//	ctl, err := core.New(core.OnRoutes("/login"))
//	srv := &http.Server{Addr: ":8080", Handler: stdlib.Middleware(ctl)(mux)}
//	report, err := stdlib.Serve(context.Background(), srv, ctl, stdlib.Signals())
//
// # Parts
//
// [Serve] does everything. Who calls http.Server.Serve on their own uses [Track]
// and [Listener], and calls Drain on the Controller before Shutdown. With Track
// alone all decisions are taken and announced, but a close may still destroy the
// last response if the client had sent more, and hijacked connections are no
// longer known. With the middleware alone there are no connection records; see
// package core for what that means.
//
// # RegisterOnShutdown
//
// Functions registered with http.Server.RegisterOnShutdown run when [Serve] calls
// Shutdown, which is at the end of the drain and not at its beginning. Streams
// and WebSockets learn of a drain from [core.Leaving].
package stdlib
