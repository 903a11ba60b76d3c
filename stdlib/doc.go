// Package stdlib brings politeclose to net/http: the tracking of connections and
// of responses, connections that close without destroying the last response, and
// [Serve] and [Shutdown], which drain a server without losing a request.
//
//	ctl, err := core.New(core.OnRoutes("/login"))
//	srv := &http.Server{Addr: ":8080", Handler: mux}
//	report, err := stdlib.Serve(context.Background(), srv, ctl, stdlib.Signals())
//
// # Parts
//
// [Serve] does everything. Who calls http.Server.Serve on their own, or has a
// framework that does, gives the server to [Track] before, and calls [Shutdown] in
// the place of http.Server.Shutdown:
//
//	err := stdlib.Track(srv, ctl)
//	go func() {
//		<-ctx.Done()
//		stdlib.Shutdown(context.Background(), srv, ctl)
//	}()
//	err = srv.ListenAndServe() // http.ErrServerClosed, when the drain has ended
//
// With [Middleware] alone there are no connection records; see package core for what
// that means.
//
// # HTTP/2
//
// net/http's own HTTP/2 is used, over TLS and in cleartext. A connection is ended
// with two GOAWAYs (RFC 9113 §6.8): the first one accepts every stream and carries
// the reason as its debug data, for which it leaves behind the responses that are
// under way, 250 ms later at most. The second one names the last stream, when the
// client has acknowledged the first, or after 5 s in which nothing was under way, or
// after a minute. So it is for a drain, for a rule, and a moment before IdleTimeout.
//
// Configure it with http.Server.HTTP2. A server that was given to
// golang.org/x/net/http2.ConfigureServer is an error of [Track] and [Serve] on Go
// 1.27, where net/http then keeps HTTP/2 to itself; on Go 1.26 it works, and its
// IdleTimeout should be the server's. ConfigureServer after Track is not seen on Go
// 1.27 until the server serves: connections then end with net/http's single GOAWAY.
//
// In place of golang.org/x/net/http2/h2c, gin's UseH2C and echo's StartH2CServer,
// which hijack every connection, set SetUnencryptedHTTP2 in http.Server.Protocols. A
// drain ends those connections too, but no rule sees their requests unless a
// middleware does. Both are said once and counted in [core.Stats.Impaired].
//
// # RegisterOnShutdown
//
// Functions registered with http.Server.RegisterOnShutdown run when [Serve] calls
// Shutdown, which is at the end of the drain and not at its beginning. Streams
// and WebSockets learn of a drain from [core.Leaving].
package stdlib
