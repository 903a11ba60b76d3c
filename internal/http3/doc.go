// Package http3 tests stdlib's middleware under quic-go's HTTP/3 server. It is a
// module of its own, so that nobody who uses politeclose pays for quic-go.
package http3
