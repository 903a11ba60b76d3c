package conformance

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// answer is what came back for one request.
type answer struct {
	// transcript is everything that was received, without the date and the
	// Connection fields.
	transcript string
	// connection has the values of the final response's Connection field, one
	// per field line; hintsConnection those of the 1xx before it.
	connection, hintsConnection []string
	// hints says that a 1xx came before the final response.
	hints bool
	// final says that it is a final response other than 101.
	final bool
	// whole says that it came to its end, so that the connection can be used
	// again as far as the framing tells.
	whole bool
}

// client is one connection. Its methods give up after clienttest.Patience.
type client interface {
	// do sends one request and reads what comes back.
	do(request) answer
	// leaving waits for the server to end the connection: the end of the
	// stream over HTTP/1, a GOAWAY over HTTP/2.
	leaving() error
	// announced reports whether the end has been announced over HTTP/2.
	announced() bool
	close()
}

// request is one request, the same over every protocol.
type request struct {
	method, path string
	header       []field
	body         string
	then         []byte // sent once the server has answered 101
}

type field struct{ name, value string }

func (r request) with(name, value string) request {
	r.header = append(slices.Clip(r.header), field{name, value})
	return r
}

var (
	dateLine       = regexp.MustCompile(`(?mi)^date: .*\r\n`)
	connectionLine = regexp.MustCompile(`(?mi)^connection: (.*)\r\n`)
)

// newHTTP1Answer takes a raw response apart.
func newHTTP1Answer(raw []byte, final, whole bool) answer {
	a := answer{final: final, whole: whole}
	text := string(raw)
	if !final {
		a.transcript = dateLine.ReplaceAllString(text, "")
		return a
	}
	for isInformational(text) {
		var head string
		head, text, _ = strings.Cut(text, "\r\n\r\n")
		a.hints = true
		a.hintsConnection = append(a.hintsConnection, a.addHead(head)...)
	}
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	a.connection = a.addHead(head)
	a.transcript += body
	return a
}

// addHead adds a response's head to the transcript and returns the values of its
// Connection field.
func (a *answer) addHead(head string) (connection []string) {
	head = dateLine.ReplaceAllString(head+"\r\n", "")
	for _, match := range connectionLine.FindAllStringSubmatch(head, -1) {
		connection = append(connection, match[1])
	}
	a.transcript += connectionLine.ReplaceAllString(head, "") + "\r\n"
	return connection
}

func isInformational(s string) bool {
	return len(s) > len("HTTP/1.1 1") && strings.HasPrefix(s, "HTTP/1.") && s[len("HTTP/1.1 ")] == '1'
}

// ended reports whether reading from r comes to an orderly end without another
// byte.
func ended(r io.Reader) error {
	var b [64]byte
	n, err := r.Read(b[:])
	switch {
	case n > 0:
		return fmt.Errorf("the server sent %q where it should have closed", b[:n])
	case err != io.EOF:
		return fmt.Errorf("instead of the end of the stream: %w", err)
	}
	return nil
}
