// Package echov5adapter connects politeclose to the echo framework, version 5;
// package echoadapter is for version 4. It is a Go module of its own.
//
//	e := echo.New()
//	e.Use(echov5adapter.Middleware(ctl), middleware.Recover())
//	e.POST("/login", login, echov5adapter.Sensitive(ctl))
//
// core.OnRoutes and core.Exempt see c.Path(): "/accounts/:id". Where echo found
// no route (404) there is none.
//
// Errors and panics that echo's error handler answers after all middleware has
// returned are seen with their status. core.CloseAfter and core.Leaving want
// c.Request().Context().
//
// On a server that stdlib.Serve or stdlib.Track knows, every response is decided
// about without it, what Pre answers included: the middleware then only supplies
// the route. On any other server it cannot see what is written above it, nor an
// empty response that is left where a middleware above swallows a handler's error;
// stand above, or put stdlib.Middleware around the engine.
//
// echo answers 200 where a handler writes a 103 and then any other status through
// c.Response(): that is the status that core.OnStatus sees, too.
package echov5adapter

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v5"

	"github.com/politeclose/politeclose/core"
)

// Config is the middleware's configuration.
type Config struct {
	// Skipper leaves out the requests for which it returns true. No rule closes
	// their connections, not even a drain, so core.Exempt is nearly always the
	// better way. Nil skips none. It is called once per request. (The type is
	// that of echo's middleware.Skipper, without linking that package.)
	Skipper func(c *echo.Context) bool

	// Controller decides. It is required.
	Controller *core.Controller

	sensitive bool
}

// Middleware returns a middleware that supplies echo's route, and on a server
// that is not tracked ends the connections that ctl's rules name, announced on
// their last response. Put it first; Use and Pre both work. Installed twice it
// counts nothing twice.
//
// With a nil ctl it returns the next handler unchanged. It costs one allocation
// per request, on a tracked server only where a rule looks at routes, and it is
// safe for concurrent use.
func Middleware(ctl *core.Controller) echo.MiddlewareFunc {
	return (&Config{Controller: ctl}).middleware()
}

// MiddlewareWithConfig is Middleware with a Skipper. Unlike those of echo it
// does not panic on a configuration without Controller but returns the next
// handler unchanged, as Middleware does; ToMiddleware says so with an error.
func MiddlewareWithConfig(config Config) echo.MiddlewareFunc {
	return config.middleware()
}

// ToMiddleware is [MiddlewareWithConfig] with an error where Controller is nil.
func (config Config) ToMiddleware() (echo.MiddlewareFunc, error) {
	if config.Controller == nil {
		return nil, errors.New("echov5adapter: Config.Controller is nil; a *core.Controller made by core.New is needed")
	}
	return config.middleware(), nil
}

// Sensitive returns a middleware that ends the connection after each response of
// the route or group it is put on, with core.ReasonRoute. It needs no Middleware
// above it, but the rules apply to its routes all the same. A group without a
// prefix is the wrong place: echo runs its middleware for every 404, too. A nil ctl,
// costs and concurrent use are as for [Middleware].
func Sensitive(ctl *core.Controller) echo.MiddlewareFunc {
	return (&Config{Controller: ctl, sensitive: true}).middleware()
}

func (config *Config) middleware() echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if config.Controller == nil {
			return next
		}
		return func(c *echo.Context) error {
			if config.Skipper != nil && config.Skipper(c) {
				config.Controller.Skip(c.Response())
				return next(c)
			}
			return config.serve(c, next)
		}
	}
}

func (config *Config) serve(c *echo.Context, next echo.HandlerFunc) (err error) {
	// The writer goes below echo's own, where nothing that other middleware
	// does to c.Response reaches it, and stays when the middleware returns:
	// echo's error handler writes the response of an error or of a panic then.
	response, _ := echo.UnwrapResponse(c.Response()) // nil where it is a program's own
	below := c.Response()
	if response != nil {
		below = response.ResponseWriter
	}
	if writer, supplied, ok := config.Controller.Supply(below, c.Request(), c, config.sensitive); ok {
		defer supplied.End()
		put(c, response, writer)
		return next(c)
	}
	r, exchange := config.Controller.Begin(c.Request())
	returned := false
	defer func() { exchange.EndAfter(returned) }()
	if config.sensitive {
		exchange.Sensitive()
	}
	exchange.UseRoute(c)
	c.SetRequest(r)
	put(c, response, exchange.Writer(below))

	defer func() {
		// Committed and not written yet: echo's HEAD for a GET route waits for
		// the handler's end.
		if !returned || err != nil || response != nil && response.Committed {
			exchange.Postpone()
		}
	}()
	err = next(c)
	returned = true
	return err
}

func put(c *echo.Context, response *echo.Response, below http.ResponseWriter) {
	if response != nil {
		response.ResponseWriter = below
	} else {
		c.SetResponse(below)
	}
}
