package core

import (
	"net/http"
	"strings"
)

// An override is what an announcement has changed in a handler's header map, to
// be taken back once net/http has its copy: a cache, a logger or a recorder that
// keeps the map must not keep our announcement.
type override struct {
	header http.Header
	former map[string][]string
}

// setClose makes the header exactly "Connection: close". net/http keeps the
// connection open after any other spelling, and a second value would tell the
// client something else (net/http compares the first value with "close").
func setClose(h http.Header) (o override) {
	o = deleteConnection(h)
	h["Connection"] = []string{"close"}
	return o
}

// deleteConnection deletes the fields that speak about the connection, in
// whatever case a handler that writes the map by hand has put them.
func deleteConnection(h http.Header) (o override) {
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

// advertise adds a Keep-Alive field of ours.
func advertise(h http.Header, keepAlive []string) (o override) {
	if h["Keep-Alive"] != nil {
		return o
	}
	h["Keep-Alive"] = keepAlive
	return override{header: h}
}

func (o override) takeBack() {
	if o.header == nil {
		return
	}
	delete(o.header, "Connection")
	delete(o.header, "Keep-Alive")
	for name, values := range o.former {
		o.header[name] = values
	}
}

// withoutConnection hides a handler's Connection field from a 1xx response.
func withoutConnection(h http.Header, write func()) {
	left, ok := h["Connection"]
	if ok {
		delete(h, "Connection")
		defer func() { h["Connection"] = left }()
	}
	write()
}

// connectionHeader returns what a handler left. A key that was not written
// through the Header's methods may be in lower case.
func connectionHeader(h http.Header) []string {
	if len(h) == 0 {
		return nil
	}
	if v := h["Connection"]; v != nil {
		return v
	}
	return h["connection"]
}

// wantsClose reports whether the close option is among the values (RFC 9110
// §7.6.1: a list, compared without regard to case).
func wantsClose(values []string) bool {
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
