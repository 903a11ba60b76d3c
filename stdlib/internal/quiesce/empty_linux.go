package quiesce

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"syscall"
	"time"
)

const (
	// stuck is how long nobody has to have been accepted though somebody waits: the
	// process has no descriptor left, or is busy with code of the program's own.
	stuck = 2 * time.Second
	// settling is what a packet may take that a processor was working on when the
	// socket changed: microseconds, unless it is a virtual processor that did not
	// get its turn just then.
	settling = 10 * time.Millisecond
	// nextLook is the pause between two looks at the kernel's tables.
	nextLook = 2 * time.Millisecond
	// roundTrip is longer than most handshakes take, for where they cannot be seen.
	roundTrip = 250 * time.Millisecond
	// moment is for where nothing can be done about those who connect meanwhile.
	moment = 5 * time.Millisecond
)

// empty returns when nobody can be on the way into the accept queue any more.
func (l *Listener) empty(giveUp <-chan struct{}) error {
	table, tableErr := openTable(l.Socket)
	if tableErr == nil {
		defer table.close()
		if l.beside {
			l.steer(giveUp, table)
		}
	}
	if err := control(l.Socket, func(fd int) error { return setMinTTL(fd, 255) }); err != nil {
		l.acceptUntilQuiet(giveUp, moment)
		return fmt.Errorf("cannot keep new connections off the listening socket while it empties: %w", err)
	}
	if tableErr != nil {
		l.acceptUntilQuiet(giveUp, roundTrip)
		return fmt.Errorf("cannot see who is about to connect: %w", tableErr)
	}
	// In this order: handshakes end in the queue.
	return errors.Join(table.awaitHandshakes(giveUp), l.awaitQueue(giveUp, table))
}

// awaitHandshakes waits until the handshakes are over that have begun.
func (t *table) awaitHandshakes(giveUp <-chan struct{}) error {
	end := time.Now().Add(longest)
	sleep(giveUp, settling)
	begun, err := t.handshakes()
	for err == nil && len(begun) > 0 {
		if time.Now().After(end) || !sleep(giveUp, nextLook) {
			return fmt.Errorf("clients that had begun to connect, and have not finished: %d", len(begun))
		}
		var now map[socketID]bool
		now, err = t.handshakes()
		maps.DeleteFunc(begun, func(handshake socketID, _ bool) bool { return !now[handshake] })
	}
	return err
}

// awaitQueue waits until nobody is in the accept queue, or nobody is taken out of it.
func (l *Listener) awaitQueue(giveUp <-chan struct{}, table *table) error {
	l.acceptedNow()
	for {
		waiting, err := table.waiting()
		switch {
		case err != nil || waiting == 0:
			return err
		case time.Since(*l.latest.Load()) > stuck || !sleep(giveUp, nextLook):
			return fmt.Errorf("clients that wait to be accepted: %d", waiting)
		}
	}
}

// disinherit takes off what an accepted socket has from the listening one.
func disinherit(c net.Conn) {
	if c, ok := c.(syscall.Conn); ok {
		// It fails on a connection that has gone, and on one of another kind.
		_ = control(c, func(fd int) error { return setMinTTL(fd, 0) })
	}
}

// control calls f with the descriptor of a socket.
func control(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := raw.Control(func(fd uintptr) { result = f(int(fd)) }); err != nil {
		return err
	}
	return result
}
