package quiesce

import (
	"net"
	"sync"
	"time"
)

// visitor is a connection that a Listener makes to its own address, to learn who
// gets it.
type visitor struct {
	mu    sync.Mutex
	from  string        // its own address; "" while there is none
	found chan struct{} // closed when the Listener has accepted it
}

// connect connects to an address and returns a channel that is closed when the
// Listener accepts it, and the function that ends the connection.
func (v *visitor) connect(to net.Addr, patience time.Duration) (found <-chan struct{}, end func(), err error) {
	// What is accepted meanwhile has to wait until it is known whether it is this.
	v.mu.Lock()
	defer v.mu.Unlock()
	c, err := net.DialTimeout(to.Network(), to.String(), patience)
	if err != nil {
		return nil, nil, err
	}
	v.from, v.found = c.LocalAddr().String(), make(chan struct{})
	return v.found, func() {
		c.Close()
		v.forget() // somebody else may get its address
	}, nil
}

func (v *visitor) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.from = ""
}

// is reports whether an accepted connection is the visitor's.
func (v *visitor) is(c net.Conn) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.from == "" || c.RemoteAddr().String() != v.from {
		return false
	}
	v.from = ""
	close(v.found)
	return true
}
