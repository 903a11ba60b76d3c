package conformance

import "github.com/politeclose/politeclose/internal/clienttest"

// protocol is one way for a client to talk to the server.
type protocol struct {
	name string
	dial func(*server) client
	// clientCloses says that the client closes by its own word.
	clientCloses bool
	http2        bool
}

var protocols = []protocol{
	{name: "HTTP/1.0", dial: dialPlain("HTTP/1.0", ""), clientCloses: true},
	{name: "HTTP/1.0 keep-alive", dial: dialPlain("HTTP/1.0", "keep-alive")},
	{name: "HTTP/1.1", dial: dialPlain("HTTP/1.1", "")},
	{name: "HTTP/1.1 closed by the client", dial: dialPlain("HTTP/1.1", "close"), clientCloses: true},
	{name: "HTTP/1.1 over TLS", dial: func(s *server) client {
		return &http1Client{conn: clienttest.DialTLS(s.t, s.tls).Conn, version: "HTTP/1.1"}
	}},
	{name: "HTTP/2", http2: true, dial: func(s *server) client {
		return newHTTP2Client(clienttest.DialHTTP2(s.t, s.tls))
	}},
}

func dialPlain(version, option string) func(*server) client {
	return func(s *server) client {
		return &http1Client{conn: clienttest.Dial(s.t, s.plain).Conn, version: version, option: option}
	}
}
