package fleetsim

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// network is how replicas reach each other's Handlers.
type network world

var errTimeout = errors.New("it does not answer in time")

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, replica := range n.replicas {
		if replica.name != r.URL.Host {
			continue
		}
		if n.silent || replica.mute || !replica.up {
			break
		}
		answer := &answer{header: make(http.Header), status: http.StatusOK}
		replica.answers.ServeHTTP(answer, r)
		return &http.Response{StatusCode: answer.status, Header: answer.header, Body: io.NopCloser(&answer.body), Request: r}, nil
	}
	return nil, errTimeout
}

type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
