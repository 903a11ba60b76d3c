package accesslog

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

// lines is a log that is written to and read at once.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// of returns the lines with a path in them.
func (l *lines) of(path string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, path) {
			found = append(found, line)
		}
	}
	return found
}

var handlers = []struct {
	name string
	make func(io.Writer) http.Handler
}{
	{"slog", func(out io.Writer) http.Handler {
		return Slog(slog.New(slog.NewJSONHandler(out, nil)))(servertest.Hello)
	}},
	{"chi's httplog", func(out io.Writer) http.Handler {
		r := chi.NewRouter()
		r.Use(Chi(slog.New(slog.NewJSONHandler(out, nil))))
		r.Handle("/*", servertest.Hello)
		return r
	}},
	{"gin's logger", func(out io.Writer) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.Use(Gin(out))
		r.GET("/*any", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
		return r
	}},
	{"echo's logger", func(out io.Writer) http.Handler {
		e := echo.New()
		e.Use(Echo(slog.New(slog.NewJSONHandler(out, nil))))
		e.GET("/*", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })
		return e
	}},
}

var (
	connection = regexp.MustCompile(`connection[":=]+1\b`)
	closes     = regexp.MustCompile(`closes[":=]+route\b`)
)

func TestTheLogHasTheReasonBesideTheRequest(t *testing.T) {
	for _, h := range handlers {
		t.Run(h.name, func(t *testing.T) {
			log := new(lines)
			ctl := servertest.NewController(t, core.OnRoutes("/login"))
			address := servertest.ServeTracked(t, servertest.NewHTTP(h.make(log)), ctl, servertest.Cleartext)
			client := clienttest.Dial(t, address)
			client.ExpectKept(client.Get("/kept"))
			client.ExpectClosed(client.Get("/login"))
			clienttest.Eventually(t, "both requests are logged", func() bool { return len(log.of("/kept")) == 1 && len(log.of("/login")) == 1 })
			if line := log.of("/kept")[0]; !connection.MatchString(line) || closes.MatchString(line) {
				t.Errorf("the log says %s", line)
			}
			if line := log.of("/login")[0]; !connection.MatchString(line) || !closes.MatchString(line) {
				t.Errorf("the log says %s", line)
			}
		})
	}
}
