package echoadapter_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/politeclose/politeclose/echoadapter"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// Start puts echo itself where Track has put our handler.
func TestShutdownLosesNoRequestOfStart(t *testing.T) {
	ctl := servertest.NewController(t)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(echoadapter.Middleware(ctl))
	var served atomic.Int64
	e.POST("/", func(c echo.Context) error {
		served.Add(1)
		return c.String(http.StatusOK, "hello")
	})
	if err := stdlib.Track(e.Server, ctl); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.Listener = l
	started := make(chan error, 1)
	go func() { started <- e.Start("") }()
	traffic := servertest.NewTraffic("http://"+l.Addr().String(), 64, false)
	report, err := stdlib.Shutdown(context.Background(), e.Server, ctl)
	if err != nil || report.Announced == 0 {
		t.Errorf("Shutdown: %v, %v", report, err)
	}
	traffic.ExpectNoneLost(t, served.Load())
	if err := clienttest.Receive(t, "the end of Start", started); err != http.ErrServerClosed {
		t.Errorf("Start: %v", err)
	}
}
