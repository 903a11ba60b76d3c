// Package header has the words of HTTP/1 about a connection: Connection,
// Keep-Alive, close.
package header

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// An Override is what an announcement has changed in a handler's header map, to
// be taken back once net/http has its copy: a cache, a logger or a recorder
// that keeps the map must not keep our announcement.
type Override struct {
	header http.Header // nil where nothing was changed
	added  string
	former map[string][]string
}

// SetClose makes the header exactly "Connection: close". net/http keeps the
// connection open after any other spelling, and a second value would tell the
// client something else (net/http compares the first value with "close").
func SetClose(h http.Header) (o Override) {
	o = DeleteConnection(h)
	o.added = "Connection"
	h[o.added] = []string{"close"}
	return o
}

// DeleteConnection deletes the fields that speak about the connection, in
// whatever case a handler that writes the map by hand has put them.
func DeleteConnection(h http.Header) (o Override) {
	o.header = h
	for name, values := range h {
		if strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive") {
			if o.former == nil {
				o.former = make(map[string][]string)
			}
			o.former[name] = values
			delete(h, name)
		}
	}
	return o
}

// Advertise adds a Keep-Alive field of ours, unless the handler has one, or a
// Transfer-Encoding: after "identity" net/http closes the connection.
func Advertise(h http.Header, keepAlive []string) (o Override) {
	if h["Keep-Alive"] != nil || h["Transfer-Encoding"] != nil {
		return o
	}
	o = Override{header: h, added: "Keep-Alive"}
	h[o.added] = keepAlive
	return o
}

// Changed reports whether there is anything to take back.
func (o Override) Changed() bool { return o.header != nil }

// TakeBack puts the map into its former state.
func (o Override) TakeBack() {
	if o.header == nil {
		return
	}
	if o.added != "" {
		delete(o.header, o.added)
	}
	maps.Copy(o.header, o.former)
}

// WithoutConnection hides what a handler left about the connection from a 1xx
// response.
func WithoutConnection(h http.Header, write func()) {
	defer DeleteConnection(h).TakeBack()
	write()
}

// Connection returns what a handler left. A key that was not written through the
// Header's methods may be in lower case, and beside one that was.
func Connection(h http.Header) []string {
	if len(h) == 0 {
		return nil
	}
	canonical, lower := h["Connection"], h["connection"]
	if canonical == nil {
		return lower
	}
	if lower == nil {
		return canonical
	}
	return slices.Concat(canonical, lower)
}

// WantsClose reports whether the close option is among the values (RFC 9110
// §7.6.1: a list, compared without regard to case).
func WantsClose(values []string) bool {
	for _, v := range values {
		for v != "" {
			var option string
			option, v, _ = strings.Cut(v, ",")
			if strings.EqualFold(strings.Trim(option, " \t"), "close") {
				return true
			}
		}
	}
	return false
}
