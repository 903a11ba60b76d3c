package fleet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// answer is what came back from a peer.
type answer struct {
	report
	err error
}

// ask asks the peers at once and returns their answers in the same order.
func (s *Share) ask(ctx context.Context, peers []string) []answer {
	ctx, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	answers := make([]answer, len(peers))
	var asking sync.WaitGroup
	for i, peer := range peers {
		asking.Go(func() { answers[i].report, answers[i].err = s.askOne(ctx, peer) })
	}
	asking.Wait()
	return answers
}

func (s *Share) askOne(ctx context.Context, peer string) (report, error) {
	// A user in front of the host would send a password along.
	if _, _, err := net.SplitHostPort(peer); err != nil {
		return report{}, fmt.Errorf("the peer %q is no host:port", peer)
	}
	url := s.url
	url.Host = peer
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url.String(), http.NoBody)
	if err != nil {
		return report{}, err
	}
	if s.token != "" {
		request.Header.Set("Authorization", bearer(s.token))
	}
	response, err := s.client.Do(request)
	if err != nil {
		return report{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return report{}, fmt.Errorf("%s answered with status %d", peer, response.StatusCode)
	}
	r, err := readReport(response.Body)
	if err != nil {
		return report{}, fmt.Errorf("%s: %w", peer, err)
	}
	return r, nil
}

// defaultClient asks each peer over a connection of its own: one that is kept
// would count among the peer's connections, and the same peer is not asked
// again soon.
func defaultClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: refuseRedirect,
	}
}

func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
