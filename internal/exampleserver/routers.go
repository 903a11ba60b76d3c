package main

import (
	"io"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"

	"github.com/politeclose/politeclose/chiadapter"
	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/echoadapter"
	"github.com/politeclose/politeclose/ginadapter"
	"github.com/politeclose/politeclose/stdlib"
)

// routers are the same application, by the name of what routes its requests.
var routers = map[string]func(*core.Controller) http.Handler{
	"net/http": func(ctl *core.Controller) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("/{$}", hello)
		mux.Handle("GET /readyz", stdlib.Ready(ctl))
		return mux
	},
	"chi": func(ctl *core.Controller) http.Handler {
		r := chi.NewRouter()
		r.Use(chiadapter.Middleware(ctl))
		r.HandleFunc("/", hello)
		r.Method(http.MethodGet, "/readyz", stdlib.Ready(ctl))
		return r
	},
	"gin": func(ctl *core.Controller) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.Use(ginadapter.Middleware(ctl))
		r.Any("/", gin.WrapF(hello))
		r.GET("/readyz", gin.WrapH(stdlib.Ready(ctl)))
		return r
	},
	"echo": func(ctl *core.Controller) http.Handler {
		e := echo.New()
		e.Use(echoadapter.Middleware(ctl))
		e.Any("/", echo.WrapHandler(http.HandlerFunc(hello)))
		e.GET("/readyz", echo.WrapHandler(stdlib.Ready(ctl)))
		return e
	},
}

// hello reads the request to its end. Over HTTP/2 net/http resets a stream whose
// request it does not want (RFC 9113 §8.1), which some clients take for a failure.
func hello(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	io.WriteString(w, "hello\n")
}
