// Package core decides when an HTTP connection must end.
//
// A [Controller] holds the rules: a drain, sensitive routes, a handler's word,
// legacy clients, status codes, the connection's age, its number of requests,
// load, and an excess over the fair share. It takes one decision per exchange
// (one request and its response), as late as the response allows: at the commit
// point, the last moment at which the final header can still change. A close is
// announced with exactly "Connection: close" (RFC 9112 §9.6); net/http turns
// that into a GOAWAY on HTTP/2, where the field is forbidden (RFC 9113 §8.2.2).
//
// Programs make a Controller with [New], give it to stdlib.Serve, and use the
// names that take a context: [CloseAfter], [Leaving], [LeavingReason],
// [Announced] and [ConnectionID].
//
// # For adapters
//
// The package knows net/http's types and no framework. chiadapter, ginadapter,
// echoadapter and echov5adapter tell it which route served a request; they are
// written against [Controller.Begin], [Controller.BeginInPlace], [Exchange],
// [Controller.Supply], [Controller.Report] and [Controller.Skip].
//
// # For servers
//
// A server puts an [Entry] in front of its handler, so that exactly the
// requests that it hands out are decided about, with its own ResponseWriter. It
// keeps a [Connection] for each client connection, and ends a drain:
// [Controller.DrainAndClose] where it cannot empty its listener,
// [Controller.ListenerClosed] once it has closed a listener for good,
// [Controller.Drained] when nothing is left, [Controller.DrainDelay] and
// [Controller.DrainSpread] to see whether they fit, [Connection.Retire] before it
// answers for requests that it has not seen, [Controller.UsedUp] to see whether
// there can be another server. [Controller.Impair] counts what a program does
// that a rule cannot work with, and [Controller.Logger] is where servers say
// things.
// Programs call none of them; package stdlib does.
//
// # Without connection records
//
// A server that was not given to stdlib.Track has no connection records. Drain,
// routes, status codes, clients, handlers and in-flight load still close
// connections then. Age, request count and excess cannot, and where only a
// share of the connections has to go (a spread drain, load), each response
// draws its own lot instead of each connection. That is said once in the log
// and counted in [Stats.Untracked].
//
// # Contexts
//
// [CloseAfter] and [Leaving] want the request's context. A *gin.Context is not
// that: unless gin.Engine.ContextWithFallback is set it answers no look-up, so
// pass c.Request.Context().
package core
