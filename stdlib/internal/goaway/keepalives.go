package goaway

import (
	"net/http"
	"reflect"
	"sync/atomic"
	"unsafe"
)

// keepAlivesDisabled reports whether srv.SetKeepAlivesEnabled(false) was called.
// net/http tells nobody, and since Go 1.27 no HTTP/2 of ours can ask for it: so it
// is read where net/http keeps it, if it still does.
func keepAlivesDisabled(srv *http.Server) bool {
	field := reflect.ValueOf(srv).Elem().FieldByName("disableKeepAlives")
	if !field.IsValid() || field.Type() != reflect.TypeFor[atomic.Bool]() {
		return false
	}
	return (*atomic.Bool)(unsafe.Pointer(field.UnsafeAddr())).Load()
}
