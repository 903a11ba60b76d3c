package core

import (
	"log"
	"net/http"
	"path"
	"runtime"
	"strings"
)

// logSuperfluous logs in net/http's words what net/http would log, which takes
// the first caller outside its own package for the culprit: that would be our
// writer for every program.
func (e *Exchange) logSuperfluous(state uint32) {
	what := "http: superfluous response.WriteHeader call"
	if state&stateHijacked != 0 {
		what = "http: response.WriteHeader on hijacked connection"
	}
	logf := log.Printf
	if srv, ok := e.context.Value(http.ServerContextKey).(*http.Server); ok && srv.ErrorLog != nil {
		logf = srv.ErrorLog.Printf
	}
	caller := callerOutside()
	logf("%s from %s (%s:%d)", what, caller.Function, path.Base(caller.File), caller.Line)
}

// callerOutside returns the first frame that is neither net/http's nor that of
// one of our writers.
func callerOutside() (frame runtime.Frame) {
	pc := make([]uintptr, 16)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for more := true; more; {
		frame, more = frames.Next()
		if !strings.HasPrefix(frame.Function, "net/http.") && !strings.HasPrefix(frame.Function, ownPackage) &&
			!strings.HasPrefix(frame.Function, "github.com/felixge/httpsnoop.") {
			break
		}
	}
	return frame
}

const ownPackage = "github.com/politeclose/politeclose/core."
