// Package grpc restarts servers of grpc-go and connect-go under their own clients.
// It is a module of its own, so that nobody who uses politeclose pays for gRPC, and
// its tests have the build tag full, because compiling that takes long.
package grpc
