package main

import (
	"testing"

	"github.com/politeclose/politeclose/internal/demonstration/demonstrationtest"
)

func TestABadFlagGetsOneLineThatSaysWhatIsAllowed(t *testing.T) {
	demonstrationtest.RefusesBadFlags(t, run, map[string][]string{
		"-clients 0":        {`"0"`, "-clients", "from 1 to 4096"},
		"-think 20":         {`"20"`, "-think", "such as 20ms"},
		"-workers 9":        {`"9"`, "-workers", "from 10 to 1000"},
		"-slow 4":           {`"4"`, "-slow", "from 0 to 3"},
		"-duration 1s":      {`"1s"`, "-duration", "from 3s to 10m"},
		"-soft 20 -hard 20": {"-soft 20", "-hard 20", "less than"},
		"-rule hope":        {`"hope"`, "-rule", "all, "},
		"-tls=maybe":        {`"maybe"`, "-tls", "true or false"},
		"politeclose":       {`"politeclose"`, "only flags"},
	})
}

func TestHelpListsTheFlagsAndIsNoFailure(t *testing.T) {
	demonstrationtest.PrintsItsHelp(t, run, "-clients", "default 240", "-rule", "-haproxy", "-json")
}
