// Package demonstration is what the programs in examples that prove something have
// in common: how they start and end, their flags, their progress line, and how
// they write what they found.
package demonstration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

// Main runs a program to its exit status. An interrupt ends its context, and a
// second one kills it. The progress is for a terminal alone.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer, progress bool) (status int)) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr, isTerminal(os.Stderr))
	stop()
	os.Exit(status)
}

// isTerminal keeps the progress line out of files and pipes.
func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Start hands the settings that parse has read from args to run. The exit status
// is 0 after the help, and 2 after a bad flag, which costs a line.
func Start[S any](name string, args []string, stdout, stderr io.Writer,
	parse func(args []string, usage io.Writer) (S, error), run func(S) (status int)) (status int) {
	settings, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	return run(settings)
}
