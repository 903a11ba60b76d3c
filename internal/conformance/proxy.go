package conformance

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// upstream is the address of a server for a reverse proxy to stand in front of.
type upstream string

func startUpstream(t testing.TB) upstream {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/plain", sized)
	mux.HandleFunc("/closing", withConnection([]string{"close"}))
	mux.HandleFunc("/hints", earlyHints(http.StatusOK))
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte("a part"))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/switch", echoByHand)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return upstream(s.URL)
}

func (u upstream) proxy(path string) http.HandlerFunc {
	target, err := url.Parse(string(u) + path)
	if err != nil {
		panic(err)
	}
	return (&httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.Out.URL, r.Out.Host = target, "" },
		ErrorLog: log.New(io.Discard, "", 0),
		// One connection per request: none outlives the test.
		Transport: &http.Transport{DisableKeepAlives: true},
	}).ServeHTTP
}

func proxyCells(u upstream) []cell {
	switching := get("a reverse proxy, 101 from upstream", u.proxy("/switch")).silently()
	switching.request = upgradeTo("echo")
	switching.request.then = []byte("hello")
	return []cell{
		get("a reverse proxy", u.proxy("/plain")),
		get("a reverse proxy, an upstream that closes", u.proxy("/closing")),
		get("a reverse proxy, 103 from upstream", u.proxy("/hints")),
		get("a reverse proxy, an upstream cut off", u.proxy("/cut")).silently(),
		switching,
	}
}
