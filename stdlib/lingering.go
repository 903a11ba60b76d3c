package stdlib

import (
	"container/list"
	"sync"
)

// mostLingering bounds how many closes of a server linger at once. Each has a
// descriptor, a goroutine and a buffer for up to lingerTotal, which a client behind
// a route that always closes could ask for without end.
const mostLingering = 1024

const tooManyLinger = "more than 1024 closed connections waited for their clients at once: " +
	"the oldest were closed first, which may destroy a last response that its client has not read"

// lingering are the connections whose close waits for the client, the oldest first.
type lingering struct {
	mu    sync.Mutex
	conns list.List
}

// enter makes place for c, and returns the function that gives it back.
func (l *lingering) enter(c *conn) (leave func()) {
	l.mu.Lock()
	place := l.conns.PushBack(c)
	var oldest *conn
	if l.conns.Len() > mostLingering {
		oldest = l.conns.Remove(l.conns.Front()).(*conn)
	}
	l.mu.Unlock()
	if oldest != nil {
		oldest.TCPConn.Close() // which ends its wait
		c.listener.ctl.Impair(tooManyLinger)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns.Remove(place) // nothing where it has been taken away
	}
}
