package restart

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

// Wrap puts handler behind a Controller's middleware, in the way of one
// framework.
type Wrap func(*core.Controller, http.Handler) http.Handler

// NetHTTP is no middleware at all: stdlib.Serve alone is a whole drain.
func NetHTTP(_ *core.Controller, handler http.Handler) http.Handler { return handler }

// Politeclose drains with stdlib.Serve, no lame duck, every other option at its
// default. Each generation has a Controller of its own, as each process would.
func Politeclose(wrap Wrap, options ...core.Option) Method {
	return Method{Name: "politeclose", Serve: serve(wrap, options)}
}

// PolitecloseBeside is Politeclose with each generation beside the last one.
func PolitecloseBeside(wrap Wrap, options ...core.Option) Method {
	return Method{Name: "reuseport", Listening: Beside, Serve: serve(wrap, options, stdlib.ReusePort())}
}

// PolitecloseAfter is Politeclose with each generation when the last one has ended.
func PolitecloseAfter(wrap Wrap, options ...core.Option) Method {
	return Method{Name: "one after another", Listening: After, Serve: serve(wrap, options)}
}

func serve(wrap Wrap, options []core.Option, serveOptions ...stdlib.ServeOption) func(context.Context, *http.Server, net.Listener) error {
	return func(ctx context.Context, server *http.Server, listener net.Listener) error {
		quiet := core.Logger(slog.New(slog.DiscardHandler))
		controller, err := core.New(append([]core.Option{quiet}, options...)...)
		if err != nil {
			return err
		}
		server.Handler = wrap(controller, server.Handler)
		all := slices.Clone(serveOptions)
		if listener != nil {
			all = append(all, stdlib.On(listener))
		}
		if server.TLSConfig != nil {
			all = append(all, stdlib.TLS("", ""))
		}
		_, err = stdlib.Serve(ctx, server, controller, all...)
		return err
	}
}
