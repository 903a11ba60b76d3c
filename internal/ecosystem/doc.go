// Package ecosystem holds what programs put beside us to the same promises: the
// WebSocket libraries, and middleware that replaces a framework's writer. It is
// a module of its own, so that nobody else depends on them.
package ecosystem
