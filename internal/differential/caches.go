package differential

import (
	"bytes"
	"maps"
	"net/http"
	"sync"
)

type caching int

const (
	cacheClones caching = iota
	cacheKeeps
	cacheAtWriteHeader
)

type cached struct {
	status int
	header http.Header
	body   []byte
}

// cacheOf keeps whole responses and answers with them the next time.
func cacheOf(how caching) func(*env, place, http.Handler) http.Handler {
	return func(e *env, _ place, next http.Handler) http.Handler {
		var mu sync.Mutex
		entries := make(map[string]*cached)
		e.caches = append(e.caches, entries)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := e.state(r)
			if s.send == abandoned {
				next.ServeHTTP(w, r)
				return
			}
			key := r.Method + " " + r.URL.RequestURI()
			mu.Lock()
			hit := entries[key]
			mu.Unlock()
			if hit != nil {
				s.reached.send()
				maps.Copy(w.Header(), hit.header)
				w.Header().Set("X-Cache", "hit")
				w.WriteHeader(hit.status)
				w.Write(hit.body)
				return
			}
			t := &tee{ResponseWriter: w, how: how, status: http.StatusOK}
			next.ServeHTTP(t, r)
			if t.header == nil {
				t.header = w.Header()
				if how != cacheKeeps {
					t.header = t.header.Clone()
				}
			}
			mu.Lock()
			entries[key] = &cached{t.status, t.header, t.body.Bytes()}
			mu.Unlock()
		})
	}
}

type tee struct {
	http.ResponseWriter
	how    caching
	status int
	header http.Header
	body   bytes.Buffer
}

func (t *tee) WriteHeader(status int) {
	t.ResponseWriter.WriteHeader(status)
	if status >= 200 {
		t.status = status
		if t.how == cacheAtWriteHeader {
			t.header = t.Header().Clone()
		}
	}
}

func (t *tee) Write(p []byte) (int, error) {
	t.body.Write(p)
	return t.ResponseWriter.Write(p)
}

func (t *tee) Unwrap() http.ResponseWriter { return t.ResponseWriter }
