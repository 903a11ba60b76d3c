// Package ginadapter connects politeclose to the gin framework.
//
//	r := gin.New()
//	r.Use(ginadapter.Middleware(ctl), gin.Recovery())
//	r.POST("/login", ginadapter.Sensitive(ctl), login)
//
// core.OnRoutes and core.Exempt see c.FullPath(): "/accounts/:id". Where gin
// found no route (404, 405) there is none.
//
// # Contexts
//
// core.CloseAfter and core.Leaving want the request's context:
// core.CloseAfter(c.Request.Context(), reason). A *gin.Context reaches it only
// with Engine.ContextWithFallback, and without that CloseAfter(c, …) reports
// false and does nothing.
//
// On a server that stdlib.Serve or stdlib.Track knows, every response is decided
// about without it, those that gin writes past every middleware included: the
// middleware then only supplies the route. On any other server it does not see
// the redirects of RedirectTrailingSlash and RedirectFixedPath, nor what follows
// Engine.HandleContext, which takes all writers off the context, and a status that
// an outer middleware sets after the handler has returned without writing is too
// late for core.OnStatus; put stdlib.Middleware around the engine there.
package ginadapter

import (
	"bufio"
	"net"
	"net/http"
	"reflect"
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/politeclose/politeclose/core"
)

// Middleware returns a middleware that supplies gin's route pattern, and on a
// server that is not tracked ends the connections that ctl's rules name, announced
// on their last response. Put it first. Installed twice it counts nothing twice.
//
// With a nil ctl it does nothing. It costs no allocation per request on a tracked
// server and three on any other, and it is safe for concurrent use.
func Middleware(ctl *core.Controller) gin.HandlerFunc {
	return bridge(ctl, false)
}

// Sensitive returns a middleware that ends the connection after each response of
// the route or group it is put on, with core.ReasonRoute. It needs no Middleware
// above it. A nil ctl, costs and concurrent use are as for [Middleware].
func Sensitive(ctl *core.Controller) gin.HandlerFunc {
	return bridge(ctl, true)
}

func bridge(ctl *core.Controller, sensitive bool) gin.HandlerFunc {
	if ctl == nil {
		return func(*gin.Context) {}
	}
	return func(c *gin.Context) {
		if ctl.Report(c.Writer, c.Request, c.FullPath(), sensitive) {
			return
		}
		r, exchange := ctl.Begin(c.Request)
		if sensitive {
			exchange.Sensitive()
		}
		exchange.UseRoute((*route)(c))
		c.Request = r
		exchange.ReportRoute(c.Writer) // gin has found it already
		if !exchange.Decides() {
			exchange.End()
			return
		}
		// The writer stays when the middleware returns: gin writes the body of
		// its 404 through it, and Recovery above us its 500.
		w := &writer{ResponseWriter: c.Writer, exchange: exchange}
		c.Writer = w
		returned := false
		defer func() {
			// gin writes the header next, on the writer below ours. Above us,
			// Recovery makes a panic a 500, unless it swallows it.
			switch {
			case w.Written():
			case returned:
				w.commit()
			default:
				w.commitAs(http.StatusInternalServerError)
			}
			exchange.EndAfter(returned || w.flushed || w.Size() > heldBack)
		}()
		c.Next()
		returned = true
	}
}

// route is a gin.Context as the core.Route that it is.
type route gin.Context

func (r *route) Path() string { return (*gin.Context)(r).FullPath() }

// writer commits where gin's writer would write the header: gin's WriteHeader
// only records a status, and its methods call each other on the inner writer.
type writer struct {
	gin.ResponseWriter
	exchange *core.Exchange
	change   core.HeaderChange // in the map, until the header has left
	flushed  bool
}

// heldBack is how many bytes of a body net/http may keep before the header leaves.
const heldBack = 4 << 10

func (w *writer) commit() {
	status := w.Status()
	if status < 200 && status != http.StatusSwitchingProtocols {
		// net/http follows an informational response with an implicit 200.
		status = http.StatusOK
	}
	w.commitAs(status)
}

func (w *writer) commitAs(status int) {
	if change := w.exchange.Commit(w.Header(), status); change.Changed() {
		w.change = change
	}
}

// ginsOwn is the type of the writer that every gin.Context begins with.
var ginsOwn = sync.OnceValue(func() reflect.Type { return reflect.TypeOf(new(gin.Context).Copy().Writer) })

// written takes the announcement back once the header has left, unless a writer of
// another middleware may still look at the map.
func (w *writer) written() {
	if !w.change.Changed() || reflect.TypeOf(w.ResponseWriter) != ginsOwn() {
		return
	}
	if own, ok := w.ResponseWriter.(interface{ Unwrap() http.ResponseWriter }); ok {
		w.change.TakeBack(own.Unwrap())
	}
	w.change = core.HeaderChange{}
}

func (w *writer) WriteHeaderNow() {
	w.commitAs(w.Status())
	w.ResponseWriter.WriteHeaderNow()
	w.written()
}

func (w *writer) Write(b []byte) (int, error) {
	w.commit()
	defer w.written()
	return w.ResponseWriter.Write(b)
}

func (w *writer) WriteString(s string) (int, error) {
	w.commit()
	defer w.written()
	return w.ResponseWriter.WriteString(s)
}

func (w *writer) Flush() {
	w.commit()
	w.ResponseWriter.Flush()
	w.flushed = true
	w.written()
}

func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.ResponseWriter.Hijack()
	if err == nil {
		w.exchange.Commit(w.Header(), http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
