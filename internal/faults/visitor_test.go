package faults

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

// visitor is a client for a goroutine of its own, which may not fail the test. Its errors say what was lost.
type visitor struct {
	conn net.Conn
	in   *bufio.Reader
}

func visit(address string, over servertest.Transport) (*visitor, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(clienttest.Patience))
	if over.TLS() {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // nothing but loopback is dialled
	}
	return &visitor{conn, bufio.NewReader(conn)}, nil
}

// ask makes one exchange and reports whether it was the last one of its connection: whether the header said so. Where it
// did, the connection must end in an orderly way.
func (v *visitor) ask() (last bool, err error) {
	if _, err := io.WriteString(v.conn, clienttest.Request("GET", "/")); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return false, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err
	}
	if response.StatusCode != http.StatusOK || string(body) != "hello" {
		return false, fmt.Errorf("the response is %d %q", response.StatusCode, body)
	}
	if !response.Close {
		return false, nil
	}
	return true, v.end()
}

// end waits for the end of the connection, and is an error where something else comes.
func (v *visitor) end() error {
	b, err := v.in.ReadByte()
	switch {
	case err == nil:
		return fmt.Errorf("instead of the end came %q", b)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

func (v *visitor) leave() { v.conn.Close() }
