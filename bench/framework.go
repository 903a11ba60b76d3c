package main

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	echo4 "github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"

	"github.com/politeclose/politeclose/chiadapter"
	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/echoadapter"
	"github.com/politeclose/politeclose/echov5adapter"
	"github.com/politeclose/politeclose/ginadapter"
)

// framework serves an application on a route, behind the framework's adapter
// unless the Controller is nil. net/http needs none: the entry of a server that is
// tracked does all of it.
type framework struct {
	name  string
	serve func(*core.Controller, http.HandlerFunc) http.Handler
	// writesHeader says that the framework writes a header for an application that
	// writes nothing.
	writesHeader bool
}

// alone is the name of the arrangement without anything.
func (f framework) alone() string { return f.name + " alone" }

// requestPath is what every request asks for.
const requestPath = "/api/users/7"

var netHTTP = framework{name: "net/http", serve: func(_ *core.Controller, application http.HandlerFunc) http.Handler {
	return application
}}

var chiRouter = framework{name: "chi", serve: func(ctl *core.Controller, application http.HandlerFunc) http.Handler {
	r := chi.NewRouter()
	if ctl != nil {
		r.Use(chiadapter.Middleware(ctl))
	}
	r.Get("/api/users/{id}", application)
	return r
}}

var ginEngine = framework{name: "gin", serve: func(ctl *core.Controller, application http.HandlerFunc) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	if ctl != nil {
		r.Use(ginadapter.Middleware(ctl))
	}
	r.GET("/api/users/:id", gin.WrapF(application))
	return r
}, writesHeader: true}

var echoV4 = framework{name: "echo v4", serve: func(ctl *core.Controller, application http.HandlerFunc) http.Handler {
	e := echo4.New()
	if ctl != nil {
		e.Use(echoadapter.Middleware(ctl))
	}
	e.GET("/api/users/:id", echo4.WrapHandler(application))
	return e
}}

var echoV5 = framework{name: "echo v5", serve: func(ctl *core.Controller, application http.HandlerFunc) http.Handler {
	e := echo5.New()
	if ctl != nil {
		e.Use(echov5adapter.Middleware(ctl))
	}
	e.GET("/api/users/:id", echo5.WrapHandler(application))
	return e
}}
