// Command gin is a small gin server that drains on SIGTERM. Run it, talk to it
// with curl, and see -help for its rules.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/ginadapter"
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
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(ginadapter.Middleware(ctl), gin.Recovery())
	r.Any("/", hello)
	r.GET("/slow", slow)
	r.GET("/stream", stream)
	r.GET("/large", large)
	r.POST("/login", ginadapter.Sensitive(ctl), login)
	r.GET("/readyz", gin.WrapH(stdlib.Ready(ctl)))
	return r
}

func hello(c *gin.Context) {
	c.String(http.StatusOK, "hello\n")
}

// slow takes a second. A drain waits for it.
func slow(c *gin.Context) {
	select {
	case <-time.After(time.Second):
		c.String(http.StatusOK, "done\n")
	case <-c.Request.Context().Done():
	}
}

// stream sends the time until the client leaves or the connection has to go.
func stream(c *gin.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	leaving := core.Leaving(c.Request.Context()) // not c: that is another context
	c.Stream(func(w io.Writer) bool {
		fmt.Fprintln(w, time.Now().Format(time.TimeOnly))
		c.Writer.Flush()
		select {
		case <-tick.C:
			return true
		case <-leaving:
			fmt.Fprintln(w, "bye")
			return false
		case <-c.Request.Context().Done():
			return false
		}
	})
}

// large sends 8 MB.
func large(c *gin.Context) {
	body := strings.NewReader(strings.Repeat("politeclose\n", 8<<20/12))
	http.ServeContent(c.Writer, c.Request, "large.txt", time.Time{}, body)
}

// login is sensitive: its connection ends with its response.
func login(c *gin.Context) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(c.Writer, c.Request.Body, 1<<20)); err != nil {
		c.AbortWithError(http.StatusRequestEntityTooLarge, err)
		return
	}
	c.String(http.StatusOK, "welcome\n")
}
