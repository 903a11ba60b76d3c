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
// # RegisterOnShutdown
//
// Functions registered with http.Server.RegisterOnShutdown run when [Serve] calls
// Shutdown, which is at the end of the drain and not at its beginning. Streams
// and WebSockets learn of a drain from [core.Leaving].
package stdlib
