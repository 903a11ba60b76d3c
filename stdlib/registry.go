package stdlib

import (
	"net"
	"reflect"
	"sync"
	"sync/atomic"
)

// registry lists the records of a tracker. Connections come and go on many
// goroutines, so it is many short lists. The links are in the records, so that a
// connection of Listener's, which knows its record, costs no map entry.
type registry struct {
	next    atomic.Uint32
	lists   [registryLists]recordList
	foreign sync.Map // net.Conn → *record, of those that Listener did not make
}

const registryLists = 32

type recordList struct {
	mu    sync.Mutex
	first *record
}

// links are a record's place in its list.
type links struct{ prev, next *record }

// canBeFound reports whether a connection that Listener did not make can be told
// from others. All pointers can.
func canBeFound(c net.Conn) bool { return reflect.ValueOf(c).Comparable() }

func (g *registry) add(r *record) {
	r.list = uint8(g.next.Add(1) % registryLists)
	l := &g.lists[r.list]
	l.mu.Lock()
	defer l.mu.Unlock()
	r.next = l.first
	if l.first != nil {
		l.first.prev = r
	}
	l.first = r
	if r.foreign {
		g.foreign.Store(r.Conn(), r)
	}
}

func (g *registry) remove(r *record) {
	l := &g.lists[r.list]
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		l.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
	if r.foreign {
		g.foreign.CompareAndDelete(r.Conn(), r)
	}
}

func (g *registry) find(c net.Conn) *record {
	if !canBeFound(c) {
		return nil
	}
	r, _ := g.foreign.Load(c)
	found, _ := r.(*record)
	return found
}

// appendTo appends the records at this moment to all.
func (g *registry) appendTo(all []*record) []*record {
	for i := range g.lists {
		l := &g.lists[i]
		l.mu.Lock()
		for r := l.first; r != nil; r = r.next {
			all = append(all, r)
		}
		l.mu.Unlock()
	}
	return all
}
