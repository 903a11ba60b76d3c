package core

import (
	"net/http"
	"testing"
	"unsafe"
)

func TestAnExchangeIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Exchange{}); size > 64 {
		t.Errorf("it takes %d bytes; more than 64 cost each request an allocation of the next size", size)
	}
}

func TestAnExchangeIsOneAllocation(t *testing.T) {
	for _, routes := range []string{"/login", "POST /login", "example.com/login"} {
		for _, proto := range []int{1, 2} {
			c := newController(t, OnRoutes(routes))
			r := requestOn(openConnection(c), "/")
			r.ProtoMajor = proto
			var w http.ResponseWriter = newFakeWriter()
			if n := testing.AllocsPerRun(100, func() {
				_, e := c.Begin(r)
				e.Writer(w)
				e.End()
			}); n > 1 {
				t.Errorf("HTTP/%d with the route %s: %v allocations", proto, routes, n)
			}
		}
	}
}
