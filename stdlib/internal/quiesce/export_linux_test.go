package quiesce

// Choose makes the kernel choose a socket of those that share l's address.
func Choose(l *Listener, index uint32) error { return l.choose(index) }
