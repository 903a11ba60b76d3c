// Package differential compares small random programs with and without us: the
// kinds of programs that nobody thought of.
//
// A program (program.go) is a server with a stack of middleware (layers.go), a
// handler's script for each request (ops.go), and what the client does. It is
// made of bytes (decode.go), so that it shrinks, and what would not be the same
// twice without us is taken out of it (settle.go). It runs without us and with us
// (env.go, client.go, client_http2.go). A model (model.go) says which responses
// must announce; everything else, which the client or a handler can see, must be
// the same (observed.go).
//
// Nothing in it waits for time to pass: a timeout fires when its handler gets
// stuck, a body goes on when the handler has had the first half.
package differential
