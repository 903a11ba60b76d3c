// Command echo is a small echo server that drains on SIGTERM. Run it, talk to it
// with curl, and see -help for its rules.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/echoadapter"
	"github.com/politeclose/politeclose/internal/exampleapp"
	"github.com/politeclose/politeclose/stdlib"
)

func main() {
	settings := exampleapp.Parse()
	ctl, err := core.New(settings.Rules()...)
	exampleapp.Check(err)

	srv := exampleapp.Server(routes(ctl))
	report, err := stdlib.Serve(context.Background(), srv, ctl, settings.Listen()...)
	exampleapp.Finish(ctl, report, err)
}

func routes(ctl *core.Controller) http.Handler {
	e := echo.New()
	e.Use(echoadapter.Middleware(ctl), middleware.Recover())
	e.Any("/", hello)
	e.GET("/slow", slow)
	e.GET("/stream", stream)
	e.GET("/large", large)
	e.POST("/login", login, echoadapter.Sensitive(ctl))
	e.GET("/readyz", echo.WrapHandler(stdlib.Ready(ctl)))
	return e
}

func hello(c echo.Context) error {
	return c.String(http.StatusOK, "hello\n")
}

// slow takes a second. A drain waits for it.
func slow(c echo.Context) error {
	select {
	case <-time.After(time.Second):
		return c.String(http.StatusOK, "done\n")
	case <-c.Request().Context().Done():
		return c.Request().Context().Err()
	}
}

// stream sends the time until the client leaves or the connection has to go.
func stream(c echo.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	leaving := core.Leaving(c.Request().Context())
	for {
		fmt.Fprintln(c.Response(), time.Now().Format(time.TimeOnly))
		c.Response().Flush()
		select {
		case <-tick.C:
		case <-leaving:
			fmt.Fprintln(c.Response(), "bye")
			return nil
		case <-c.Request().Context().Done():
			return nil
		}
	}
}

// large sends 8 MB.
func large(c echo.Context) error {
	body := strings.NewReader(strings.Repeat("politeclose\n", 8<<20/12))
	http.ServeContent(c.Response(), c.Request(), "large.txt", time.Time{}, body)
	return nil
}

// login is sensitive: its connection ends with its response.
func login(c echo.Context) error {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(c.Response(), c.Request().Body, 1<<20)); err != nil {
		return echo.NewHTTPError(http.StatusRequestEntityTooLarge, err.Error())
	}
	return c.String(http.StatusOK, "welcome\n")
}
