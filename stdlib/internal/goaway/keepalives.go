package goaway

import (
	"net/http"
	"reflect"
	"sync/atomic"
	"unsafe"
)

// keepAlivesDisabled returns what srv.SetKeepAlivesEnabled sets. net/http shows it
// to nobody but its own HTTP/2, which has another server for its own since Go 1.27:
// so it is read where net/http keeps it, or not seen where it no longer does.
func keepAlivesDisabled(srv *http.Server) *atomic.Bool {
	field := reflect.ValueOf(srv).Elem().FieldByName("disableKeepAlives")
	if !field.IsValid() || field.Type() != reflect.TypeFor[atomic.Bool]() {
		return new(atomic.Bool)
	}
	return (*atomic.Bool)(unsafe.Pointer(field.UnsafeAddr()))
}
