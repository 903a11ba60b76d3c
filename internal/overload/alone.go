package overload

import (
	"context"
	"crypto/sha256"
)

// RunAlone is the case in which nobody else is there to take the load: one TLS
// server whose handler computes, and clients that ask without a pause and come
// back to it whenever it closes. Of cfg it uses Clients, Duration and Rule.
func RunAlone(ctx context.Context, cfg Config) (Result, error) {
	cfg.TLS = true
	book := newBook(1)
	replica, err := startReplica(cfg, 0, compute)
	if err != nil {
		return Result{}, err
	}
	defer replica.stop()
	book.replicas[0] = replica
	return book.watch(ctx, cfg, replica.address)
}

// compute takes a CPU a good half millisecond.
func compute() {
	block := make([]byte, 256<<10)
	sha256.Sum256(block)
}
