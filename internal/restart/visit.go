package restart

import (
	"errors"
	"sync"
)

// Visitors are the clients alone, for a server that somebody else restarts.
type Visitors struct {
	book *book
	stop func()
}

// Visit starts the clients of c, which send their requests to url until they are
// stopped. An answer has to be the request's X-Request-Id. Only the fields of c
// that are about clients count.
func Visit(c Config, url string) (*Visitors, error) {
	if c.TLS {
		return nil, errors.New("restart: TLS is true: allowed for Visit is false")
	}
	c.Method, c.Restarts = Shutdown(), 1
	if err := c.check(); err != nil {
		return nil, err
	}
	visiting := &run{Config: c, book: newBook()}
	stop := visiting.startClients(url)
	return &Visitors{visiting.book, sync.OnceFunc(stop)}, nil
}

// Result is what the clients have counted so far. What only servers know is 0.
func (v *Visitors) Result() Result { return v.book.result() }

// Stop ends the clients once each has the answer that it waits for.
func (v *Visitors) Stop() { v.stop() }
