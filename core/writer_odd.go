package core

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/felixge/httpsnoop"
)

// wrapOdd wraps a writer that is none of net/http's own, such as another
// middleware's, at the price of several allocations.
func (e *Exchange) wrapOdd(w http.ResponseWriter) http.ResponseWriter {
	own := (*anyWriter)(e)
	return httpsnoop.Wrap(w, httpsnoop.Hooks{
		WriteHeader: func(httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc { return own.WriteHeader },
		Write:       func(httpsnoop.WriteFunc) httpsnoop.WriteFunc { return own.Write },
		WriteString: func(httpsnoop.WriteStringFunc) httpsnoop.WriteStringFunc { return own.WriteString },
		Flush:       func(httpsnoop.FlushFunc) httpsnoop.FlushFunc { return own.Flush },
		FlushError: func(flush httpsnoop.FlushErrorFunc) httpsnoop.FlushErrorFunc {
			return func() error {
				own.write(flushing)
				return flush()
			}
		},
		ReadFrom: func(readFrom httpsnoop.ReadFromFunc) httpsnoop.ReadFromFunc {
			return func(src io.Reader) (int64, error) {
				own.write(flushing)
				return readFrom(src)
			}
		},
		Hijack: func(hijack httpsnoop.HijackFunc) httpsnoop.HijackFunc {
			return func() (net.Conn, *bufio.ReadWriter, error) {
				conn, rw, err := hijack()
				if err == nil {
					e.hijack()
				}
				return conn, rw, err
			}
		},
	})
}
