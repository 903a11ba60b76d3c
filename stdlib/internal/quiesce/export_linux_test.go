package quiesce

// Choose attaches to the group of l the program that l attaches when it leaves.
func Choose(l *Listener, index uint32) error {
	return control(l.Socket, func(fd int) error { return choose(fd, index) })
}
