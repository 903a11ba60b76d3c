package main

import (
	"context"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// socketClient sends numbered messages over WebSockets and waits for no answer
// before it sends the next one. Like a POST, it sends none of them twice.
type socketClient struct {
	*traffic
	*tally
	name   string
	number int // of the last message sent
}

// talk sends until the end, and waits for the answers.
func (t *traffic) talk(name string, tally *tally) {
	c := &socketClient{traffic: t, tally: tally, name: name}
	for t.ctx.Err() == nil && !c.session() {
	}
}

// session uses one connection until it has to go, and reports whether all is
// done.
func (c *socketClient) session() (done bool) {
	conn, _, err := websocket.Dial(c.ctx, "ws://"+c.base+"/socket?client="+c.name, nil)
	if err != nil {
		c.pause()
		return false
	}
	defer conn.CloseNow()
	c.opened()

	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	heard := make(chan string)
	go hear(ctx, conn, heard)

	tick := time.NewTicker(c.every)
	defer tick.Stop()
	send, stop := tick.C, c.stop
	waiting := make(map[string]bool) // sent and not answered
	defer func() { c.lost(len(waiting)) }()
	told := false
	for send != nil || len(waiting) > 0 {
		select {
		case <-send:
			c.number++
			message := strconv.Itoa(c.number)
			waiting[message] = true
			if conn.Write(ctx, websocket.MessageText, []byte(message)) != nil {
				send = nil // the reader will see the end
			}
		case message, ok := <-heard:
			switch {
			case !ok:
				c.ended(told)
				return false
			case message == leavingWord:
				told, send = true, nil
			case waiting[message]:
				delete(waiting, message)
				c.message()
			default:
				c.doubled()
			}
		case <-stop:
			stop, send, done = nil, nil, true
		}
	}
	conn.Close(websocket.StatusNormalClosure, "")
	if told {
		c.ended(told)
	}
	return done
}

// hear passes on what is received, until the connection or ctx ends.
func hear(ctx context.Context, conn *websocket.Conn, heard chan<- string) {
	defer close(heard)
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		select {
		case heard <- string(message):
		case <-ctx.Done():
			return
		}
	}
}
