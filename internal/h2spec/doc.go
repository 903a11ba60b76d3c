// Package h2spec holds servers to h2spec, the conformance suite for HTTP/2
// (github.com/summerwind/h2spec): a tracked server must pass, and fail, what one
// without us does. It is a module of its own, so that nobody else depends on it.
package h2spec
