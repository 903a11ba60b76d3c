package interop

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// startSecurePageRelay returns the address of a relay over TLS. A browser asks for the
// page on its first connection, which is answered by HTTP/2 here and ends with that.
func startSecurePageRelay(t *testing.T, target string) (address string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{clienttest.Certificate()},
		NextProtos:   []string{http2.NextProtoTLS},
	})
	if err != nil {
		t.Fatal(err)
	}
	page := readPage(t)
	acceptEach(t, listener, func(conn net.Conn) { relaySecurePage(conn.(*tls.Conn), page, target) })
	return listener.Addr().String()
}

func relaySecurePage(browser *tls.Conn, page, target string) {
	defer browser.Close()
	begun, path, err := readFirstRequest(browser)
	if err != nil {
		return // opened for later, and never used
	}
	in := io.MultiReader(bytes.NewReader(begun), browser)
	if path == pagePath {
		new(http2.Server).ServeConn(&readAgain{browser, in}, &http2.ServeConnOpts{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Connection", "close") // with a GOAWAY
				w.Header().Set("Content-Type", "text/html")
				io.WriteString(w, page)
			}),
		})
		return
	}
	server, err := tls.Dial("tcp", target, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2.NextProtoTLS}})
	if err != nil {
		return
	}
	defer server.Close()
	passOn(browser, in, server)
}

// readFirstRequest reads a client's preface and frames up to its first HEADERS.
func readFirstRequest(browser io.Reader) (begun []byte, path string, err error) {
	var kept bytes.Buffer
	in := io.TeeReader(browser, &kept)
	if _, err := io.CopyN(io.Discard, in, int64(len(http2.ClientPreface))); err != nil {
		return nil, "", err
	}
	frames := http2.NewFramer(nil, in)
	frames.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	for {
		frame, err := frames.ReadFrame()
		if err != nil {
			return nil, "", err
		}
		if request, ok := frame.(*http2.MetaHeadersFrame); ok {
			return kept.Bytes(), request.PseudoValue("path"), nil
		}
	}
}

// readAgain is a connection of which something has been read before.
type readAgain struct {
	net.Conn
	in io.Reader
}

func (r *readAgain) Read(p []byte) (int, error) { return r.in.Read(p) }

// trustCertificate makes Firefox, which has no flag for that, trust the test certificate
// for the page.
func trustCertificate(t *testing.T, profile, page string) {
	t.Helper()
	target, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	const sha256OID = "OID.2.16.840.1.101.3.4.2.1"
	fingerprint := strings.ReplaceAll(fmt.Sprintf("% X", sha256.Sum256(clienttest.Certificate().Certificate[0])), " ", ":")
	write(t, profile, "cert_override.txt", fmt.Sprintf("%s:\t%s\t%s\t\n", target.Host, sha256OID, fingerprint))
}
