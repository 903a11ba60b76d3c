package ecosystem

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	gingzip "github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/ginadapter"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

func TestGinsGzipKeepsTheAnnouncementOnEitherSideOfTheAdapter(t *testing.T) {
	body := strings.Repeat("hello ", 100)
	for name, order := range map[string]func(ours, compression gin.HandlerFunc) gin.HandlersChain{
		"above gzip": func(ours, compression gin.HandlerFunc) gin.HandlersChain { return gin.HandlersChain{ours, compression} },
		"below gzip": func(ours, compression gin.HandlerFunc) gin.HandlersChain { return gin.HandlersChain{compression, ours} },
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnRoutes("/keys/:id"))
			gin.SetMode(gin.ReleaseMode)
			r := gin.New()
			r.Use(order(ginadapter.Middleware(ctl), gingzip.Gzip(gingzip.DefaultCompression))...)
			r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, body) })
			r.GET("/keys/:id", func(c *gin.Context) { c.String(http.StatusOK, body) })
			s := servertest.New(t, ctl, servertest.NewHTTP(r)).Start()

			conn := clienttest.Dial(t, s.Address)
			conn.ExpectKept(getCompressed(t, conn, "/", body))
			conn.ExpectClosed(getCompressed(t, conn, "/keys/7", body))
		})
	}
}

func getCompressed(t *testing.T, conn *clienttest.Conn, path, body string) clienttest.Response {
	t.Helper()
	response := conn.Get(path, "Accept-Encoding: gzip")
	in, err := gzip.NewReader(strings.NewReader(response.Body))
	if err != nil {
		t.Fatalf("%s: %v, header %v", path, err, response.Header)
	}
	if got, err := io.ReadAll(in); err != nil || string(got) != body {
		t.Errorf("%s: %q, %v", path, got, err)
	}
	return response
}
