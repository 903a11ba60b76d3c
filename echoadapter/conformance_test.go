package echoadapter_test

import (
	"io"
	"net/http"
	"path"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/politeclose/politeclose/echoadapter"
	"github.com/politeclose/politeclose/internal/conformance"
)

var framework = conformance.Framework{
	New:       newEcho,
	Parameter: ":id",
}

func TestConformance(t *testing.T) { conformance.Run(t, framework) }

func newEcho(_ testing.TB, app conformance.App) http.Handler {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	if app.Placement == conformance.Outermost || app.Placement == conformance.Twice {
		e.Use(echoadapter.Middleware(app.Controller))
	}
	e.Use(layer(app.Layer)...)
	if app.Placement == conformance.Innermost || app.Placement == conformance.Twice {
		e.Use(echoadapter.Middleware(app.Controller))
	}
	for _, route := range app.Routes {
		handler := native(route.Native, app.File)
		if route.Handler != nil {
			handler = echo.WrapHandler(route.Handler)
		}
		switch route.Sensitive {
		case conformance.OnRoute:
			e.Add(route.Method, route.Path, handler, echoadapter.Sensitive(app.Controller))
		case conformance.OnGroup:
			e.Group(path.Dir(route.Path), echoadapter.Sensitive(app.Controller)).Add(route.Method, "/"+path.Base(route.Path), handler)
		default:
			e.Add(route.Method, route.Path, handler)
		}
	}
	return e
}

func layer(l conformance.Layer) []echo.MiddlewareFunc {
	switch l {
	case conformance.Recover:
		return []echo.MiddlewareFunc{middleware.RecoverWithConfig(middleware.RecoverConfig{DisablePrintStack: true})}
	case conformance.Gzip:
		return []echo.MiddlewareFunc{middleware.Gzip()}
	case conformance.Timeout:
		return []echo.MiddlewareFunc{middleware.ContextTimeout(time.Minute)}
	case conformance.Hurry:
		return []echo.MiddlewareFunc{middleware.ContextTimeout(conformance.HurryTimeout)}
	}
	return nil
}

func native(n conformance.Native, file string) echo.HandlerFunc {
	return func(c echo.Context) error {
		switch n {
		case conformance.StatusOnly:
			return c.NoContent(http.StatusAccepted)
		case conformance.JSON:
			return c.JSON(http.StatusOK, map[string]string{"hello": "world"})
		case conformance.Redirect:
			return c.Redirect(http.StatusFound, "/elsewhere")
		case conformance.File:
			return c.File(file)
		case conformance.Fail:
			return echo.NewHTTPError(http.StatusConflict, "conflict")
		case conformance.Stream:
			io.WriteString(c.Response(), "one")
			c.Response().Flush()
			io.WriteString(c.Response(), "two")
		case conformance.Expired:
			<-c.Request().Context().Done()
			return c.Request().Context().Err()
		}
		return nil
	}
}
