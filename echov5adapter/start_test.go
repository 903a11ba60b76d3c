package echov5adapter_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/politeclose/politeclose/echov5adapter"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestShutdownLosesNoRequestOfStartConfig(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		name := map[bool]string{false: "in cleartext", true: "HTTP/2 over TLS"}[http2]
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			e := newEngine()
			e.Use(echov5adapter.Middleware(ctl))
			var served atomic.Int64
			e.POST("/", func(c *echo.Context) error {
				served.Add(1)
				return c.String(http.StatusOK, "hello")
			})
			var srv *http.Server
			listening := make(chan net.Addr, 1)
			config := echo.StartConfig{
				Address: "127.0.0.1:0", HideBanner: true, HidePort: true,
				ListenerAddrFunc: func(a net.Addr) { listening <- a },
				BeforeServeFunc: func(s *http.Server) error {
					srv = s
					return stdlib.Track(s, ctl)
				},
			}
			scheme := "http://"
			if http2 {
				config.TLSConfig = servertest.NewHTTP(nil).TLSConfig
				config.TLSConfig.NextProtos = []string{"h2"}
				scheme = "https://"
			}
			started := make(chan error, 1)
			go func() { started <- config.Start(t.Context(), e) }()
			address := clienttest.Receive(t, "the address", listening)
			traffic := servertest.NewTraffic(scheme+address.String(), 64, http2)
			report, err := stdlib.Shutdown(context.Background(), srv, ctl)
			if err != nil || report.Announced == 0 {
				t.Errorf("Shutdown: %v, %v", report, err)
			}
			traffic.ExpectNoneLost(t, served.Load())
			// Start makes nil of http.ErrServerClosed.
			if err := clienttest.Receive(t, "the end of Start", started); err != nil {
				t.Errorf("Start: %v", err)
			}
		})
	}
}
