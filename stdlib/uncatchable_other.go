//go:build !unix

package stdlib

import "os"

var uncatchable = []os.Signal{os.Kill}
