// Package browser tests the status page in a real browser. It is a module of its
// own because it needs a client of the browser's debugging protocol.
package browser
