package conformance

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// interfaces answers with the optional interfaces of the writer it is given:
// those that the handler would have without us, and no other. Unwrap is ours to
// add.
func interfaces(w http.ResponseWriter, _ *http.Request) {
	is := make(map[string]bool)
	_, is["Flusher"] = w.(http.Flusher)
	_, is["FlushError"] = w.(interface{ FlushError() error })
	_, is["Hijacker"] = w.(http.Hijacker)
	_, is["Pusher"] = w.(http.Pusher)
	_, is["ReaderFrom"] = w.(io.ReaderFrom)
	_, is["StringWriter"] = w.(io.StringWriter)
	_, is["CloseNotifier"] = w.(http.CloseNotifier) //nolint:staticcheck // old handlers look for it
	_, is["SetReadDeadline"] = w.(interface{ SetReadDeadline(time.Time) error })
	_, is["SetWriteDeadline"] = w.(interface{ SetWriteDeadline(time.Time) error })
	_, is["EnableFullDuplex"] = w.(interface{ EnableFullDuplex() error })
	fmt.Fprintln(w, is)
}

// deadlines answers with what http.ResponseController can do.
func deadlines(w http.ResponseWriter, _ *http.Request) {
	c := http.NewResponseController(w)
	far := time.Now().Add(time.Hour)
	results := []error{c.SetReadDeadline(far), c.SetWriteDeadline(far), c.EnableFullDuplex()}
	// None, so that the far ones do not outlive the test.
	c.SetReadDeadline(time.Time{})
	c.SetWriteDeadline(time.Time{})
	fmt.Fprintln(w, results)
}
