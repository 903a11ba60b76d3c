package ginadapter_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/politeclose/politeclose/ginadapter"
	"github.com/politeclose/politeclose/internal/conformance"
)

func init() { gin.SetMode(gin.ReleaseMode) }

var framework = conformance.Framework{
	New:          newEngine,
	Parameter:    ":id",
	WritesHeader: true,
}

func TestConformance(t *testing.T) { conformance.Run(t, framework) }

func newEngine(_ testing.TB, app conformance.App) http.Handler {
	r := gin.New()
	r.HandleMethodNotAllowed = true
	if app.Placement == conformance.Outermost || app.Placement == conformance.Twice {
		r.Use(ginadapter.Middleware(app.Controller))
	}
	r.Use(layer(app.Layer)...)
	if app.Placement == conformance.Innermost || app.Placement == conformance.Twice {
		r.Use(ginadapter.Middleware(app.Controller))
	}
	for _, route := range app.Routes {
		handler := native(route.Native, app.File)
		if route.Handler != nil {
			handler = gin.WrapH(route.Handler)
		}
		switch route.Sensitive {
		case conformance.OnRoute:
			r.Handle(route.Method, route.Path, ginadapter.Sensitive(app.Controller), handler)
		case conformance.OnGroup:
			r.Group(path.Dir(route.Path), ginadapter.Sensitive(app.Controller)).Handle(route.Method, path.Base(route.Path), handler)
		default:
			r.Handle(route.Method, route.Path, handler)
		}
	}
	return r
}

func layer(l conformance.Layer) gin.HandlersChain {
	switch l {
	case conformance.Recover:
		return gin.HandlersChain{gin.RecoveryWithWriter(io.Discard)}
	case conformance.Gzip:
		return gin.HandlersChain{compress}
	case conformance.Timeout:
		return gin.HandlersChain{timeout(time.Minute)}
	case conformance.Hurry:
		return gin.HandlersChain{timeout(conformance.HurryTimeout)}
	}
	return nil
}

// compress replaces gin's writer, as gin-contrib/gzip does: gin has none of its own.
func compress(c *gin.Context) {
	if !strings.Contains(c.GetHeader("Accept-Encoding"), "gzip") {
		return
	}
	w := &compressed{ResponseWriter: c.Writer}
	c.Writer = w
	defer func() {
		if w.to != nil {
			w.to.Close()
		}
	}()
	c.Next()
}

type compressed struct {
	gin.ResponseWriter
	to *gzip.Writer // nil until something is written
}

func (w *compressed) Write(p []byte) (int, error) {
	if w.to == nil {
		w.Header().Del("Content-Length")
		w.Header().Set("Content-Encoding", "gzip")
		w.to = gzip.NewWriter(w.ResponseWriter)
	}
	return w.to.Write(p)
}

func (w *compressed) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (w *compressed) Flush() {
	if w.to != nil {
		w.to.Flush()
	}
	w.ResponseWriter.Flush()
}

// timeout is what gin's users write themselves: gin has none.
func timeout(d time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), d)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
		if ctx.Err() == context.DeadlineExceeded && !c.Writer.Written() {
			c.AbortWithStatus(http.StatusGatewayTimeout)
		}
	}
}

func native(n conformance.Native, file string) gin.HandlerFunc {
	return func(c *gin.Context) {
		switch n {
		case conformance.Nothing:
		case conformance.StatusOnly:
			c.Status(http.StatusAccepted)
		case conformance.JSON:
			c.JSON(http.StatusOK, gin.H{"hello": "world"})
		case conformance.Redirect:
			c.Redirect(http.StatusFound, "/elsewhere")
		case conformance.File:
			c.File(file)
		case conformance.Fail:
			c.AbortWithStatusJSON(http.StatusConflict, gin.H{"error": "conflict"})
		case conformance.Stream:
			parts := []string{"one", "two"}
			c.Stream(func(w io.Writer) bool {
				io.WriteString(w, parts[0])
				parts = parts[1:]
				return len(parts) > 0
			})
		case conformance.Expired:
			<-c.Request.Context().Done()
			c.Error(c.Request.Context().Err())
		}
	}
}
