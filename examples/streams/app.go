package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/coder/websocket"

	"github.com/politeclose/politeclose/core"
)

// app is the application of one server generation.
type app struct {
	feed *feed
	hear func(client string) // the client's stream has begun here
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", a.events)
	mux.HandleFunc("GET /socket", a.socket)
	return mux
}

// leavingWord is the last thing that a client hears on a stream whose connection
// has to go. It then opens another one, where another generation answers.
const leavingWord = "leaving"

// events sends every event once, from the one behind Last-Event-ID on, until the
// connection has to go.
func (a *app) events(w http.ResponseWriter, r *http.Request) {
	last, err := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if err != nil { // a client that cannot set the field says it in the query
		last, _ = strconv.Atoi(r.FormValue("after"))
	}
	a.hear(r.FormValue("client"))

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, "retry: 10\n\n") // milliseconds until an EventSource comes again
	for {
		newest, more := a.feed.newest()
		for ; last < newest; last++ {
			fmt.Fprintf(w, "id: %d\ndata: event %d\n\n", last+1, last+1)
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-more:
		case <-core.Leaving(r.Context()):
			fmt.Fprintf(w, "event: %s\ndata: come again\n\n", leavingWord)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// socket answers every message until the client closes, which it does when it was
// told that the connection has to go and has its answers. A server that began the
// close itself would leave the messages that are on their way without an answer:
// nothing may follow its own close frame (RFC 6455 §5.5.1).
func (a *app) socket(w http.ResponseWriter, r *http.Request) {
	leaving := core.Leaving(r.Context())
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	a.hear(r.FormValue("client"))

	ctx, cancel := context.WithCancel(r.Context())
	var telling sync.WaitGroup
	defer telling.Wait()
	defer cancel()
	telling.Go(func() {
		select {
		case <-leaving:
			conn.Write(ctx, websocket.MessageText, []byte(leavingWord))
		case <-ctx.Done():
		}
	})
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil || conn.Write(ctx, kind, message) != nil {
			return
		}
	}
}
