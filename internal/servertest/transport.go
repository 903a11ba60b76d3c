package servertest

import (
	"testing"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// Transport is one way to speak HTTP/1 with a server.
type Transport struct {
	Name string
	Opts []stdlib.ServeOption
	Dial func(testing.TB, string) *clienttest.Conn
}

// TLS reports whether it is over TLS.
func (o Transport) TLS() bool { return o.Name == OverTLS.Name }

// Cleartext and OverTLS are all there are.
var (
	Cleartext = Transport{"cleartext", nil, clienttest.Dial}
	OverTLS   = Transport{"TLS", []stdlib.ServeOption{stdlib.TLS("", "")}, clienttest.DialTLS}
)

// OverEach runs a test in cleartext and over TLS.
func OverEach(t *testing.T, test func(t *testing.T, over Transport)) {
	t.Helper()
	for _, over := range []Transport{Cleartext, OverTLS} {
		t.Run(over.Name, func(t *testing.T) { test(t, over) })
	}
}

// DialHTTP2 connects to a NewHTTP2 server over this transport.
func (o Transport) DialHTTP2(t testing.TB, address string) *clienttest.HTTP2 {
	t.Helper()
	if o.TLS() {
		return clienttest.DialHTTP2(t, address)
	}
	return clienttest.DialUnencryptedHTTP2(t, address)
}
