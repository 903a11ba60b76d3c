// Package goaway ends HTTP/2 connections of a net/http server the way RFC 9113
// §6.8 wants it, without losing a request that is on the wire: a first GOAWAY
// that still accepts every stream, a round trip measured with a PING, and only
// then the GOAWAY that names the last stream.
//
// net/http sends the last one alone. Requests that the client had already sent
// above the stream it names are refused, and one whose body cannot be sent again
// is lost.
//
// HTTP/2 stays net/http's own. [Install] only puts a [Conn] where the frames pass
// in plaintext, above TLS. A Conn writes the first GOAWAY and PINGs between the
// server's frames. Once the PINGs are acknowledged it hands the server a GOAWAY as
// if the client had sent it, and that is net/http's own reason to shut this one
// connection down gracefully: it names the last stream that it has seen, serves
// what is open, and closes.
package goaway
