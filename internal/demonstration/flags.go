package demonstration

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// Flags are a program's flags.
type Flags struct {
	*flag.FlagSet
	purpose string
}

// NewFlags is for a program that does and serves this, in a sentence or two.
func NewFlags(name, purpose string) *Flags {
	f := &Flags{flag.NewFlagSet(name, flag.ContinueOnError), purpose}
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	return f
}

// Parse prints the usage, for -h only, to usage. Any other error is one line that
// names the flag, the value and what is allowed.
func (f *Flags) Parse(args []string, usage io.Writer) error {
	err := f.FlagSet.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(usage, "Usage: %s [flags]\n\n%s\n", f.Name(), f.purpose)
		f.SetOutput(usage)
		f.PrintDefaults()
		return err
	case err != nil:
		return err
	case f.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: only flags are allowed, -h lists them", f.Arg(0))
	}
	return nil
}

// Given reports whether the flag was among the arguments.
func (f *Flags) Given(name string) (given bool) {
	f.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}
