package ecosystem

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"

	"github.com/politeclose/politeclose/chiadapter"
	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/echoadapter"
	"github.com/politeclose/politeclose/echov5adapter"
	"github.com/politeclose/politeclose/ginadapter"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// library is both ends of a WebSocket.
type library struct {
	// serve echoes until the client closes, and tells it once when the connection
	// has to go.
	serve http.HandlerFunc
	// follow opens a WebSocket, calls begun once it has an echo, and returns nil
	// when the server has said why it closes.
	follow func(ctx context.Context, url string, begun func()) error
}

var libraries = map[string]library{
	"coder":   {serveCoder, followCoder},
	"gorilla": {serveGorilla, followGorilla},
}

// routers serve one handler below each adapter.
var routers = map[string]func(*core.Controller, http.HandlerFunc) http.Handler{
	"net/http": func(ctl *core.Controller, handler http.HandlerFunc) http.Handler {
		return stdlib.Middleware(ctl)(handler)
	},
	"chi": func(ctl *core.Controller, handler http.HandlerFunc) http.Handler {
		r := chi.NewRouter()
		r.Use(chiadapter.Middleware(ctl))
		r.Get("/", handler)
		return r
	},
	"gin": func(ctl *core.Controller, handler http.HandlerFunc) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.Use(ginadapter.Middleware(ctl))
		r.GET("/", gin.WrapF(handler))
		return r
	},
	"echo": func(ctl *core.Controller, handler http.HandlerFunc) http.Handler {
		e := echo.New()
		e.Use(echoadapter.Middleware(ctl))
		e.GET("/", echo.WrapHandler(handler))
		return e
	},
	"echo v5": func(ctl *core.Controller, handler http.HandlerFunc) http.Handler {
		e := echo5.New()
		e.Use(echov5adapter.Middleware(ctl))
		e.GET("/", echo5.WrapHandler(handler))
		return e
	},
}

func TestWebSocketsOfEachLibraryAreToldAndLeave(t *testing.T) {
	for router, serve := range routers {
		for name, library := range libraries {
			t.Run(router+"/"+name, func(t *testing.T) {
				const sockets = 4
				ctl := servertest.NewController(t)
				s := servertest.New(t, ctl, servertest.NewHTTP(serve(ctl, library.serve))).
					Start(stdlib.IdleGrace(2*clienttest.Patience), stdlib.DrainTimeout(clienttest.Patience))
				ctx, cancel := context.WithTimeout(t.Context(), clienttest.Patience)
				defer cancel()
				begun, ended := make(chan struct{}, sockets), make(chan error, sockets)
				for range sockets {
					go func() { ended <- library.follow(ctx, "ws://"+s.Address+"/", func() { begun <- struct{}{} }) }()
				}
				for range sockets {
					clienttest.Receive(t, "an echo", begun)
				}
				s.Drain()
				for range sockets {
					if err := clienttest.Receive(t, "the end of a WebSocket", ended); err != nil {
						t.Error(err)
					}
				}
				if report := s.MustEnd(); report.Hijacked != sockets || report.Forced != 0 {
					t.Errorf("the report is %+v", report)
				}
			})
		}
	}
}

var errAnnounced = errors.New("the response with status 101 announced a close")

func serveCoder(w http.ResponseWriter, r *http.Request) {
	conn, err := coder.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	sayGoodbye(core.Leaving(r.Context()), func() { conn.Close(coder.StatusServiceRestart, "") }, func() {
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	})
}

func followCoder(ctx context.Context, url string, begun func()) error {
	conn, response, err := coder.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	if response.Close {
		return errAnnounced
	}
	if err := conn.Write(ctx, coder.MessageText, []byte("hello")); err != nil {
		return err
	}
	if _, _, err := conn.Read(ctx); err != nil {
		return err
	}
	begun()
	if _, _, err = conn.Read(ctx); coder.CloseStatus(err) == coder.StatusServiceRestart {
		return nil
	}
	return err
}

func serveGorilla(w http.ResponseWriter, r *http.Request) {
	conn, err := new(gorilla.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer conn.Close()
	goodbye := gorilla.FormatCloseMessage(gorilla.CloseServiceRestart, "")
	tell := func() { conn.WriteControl(gorilla.CloseMessage, goodbye, time.Now().Add(clienttest.Patience)) }
	sayGoodbye(core.Leaving(r.Context()), tell, func() {
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, message) != nil {
				return
			}
		}
	})
}

func followGorilla(ctx context.Context, url string, begun func()) error {
	conn, response, err := gorilla.DefaultDialer.DialContext(ctx, url, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if response.Close {
		return errAnnounced
	}
	if err := conn.WriteMessage(gorilla.TextMessage, []byte("hello")); err != nil {
		return err
	}
	if _, _, err := conn.ReadMessage(); err != nil {
		return err
	}
	begun()
	if _, _, err = conn.ReadMessage(); gorilla.IsCloseError(err, gorilla.CloseServiceRestart) {
		return nil
	}
	return err
}

// sayGoodbye runs echo until the client has left, and goodbye once the server has
// to.
func sayGoodbye(leaving <-chan struct{}, goodbye, echo func()) {
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		select {
		case <-leaving:
			goodbye()
		case <-done:
		}
	})
	echo()
	close(done)
	telling.Wait()
}
