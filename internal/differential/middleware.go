package differential

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

func politeMiddleware(e *env, here place, next http.Handler) http.Handler {
	handler := next
	if e.ctl != nil && !here.detached {
		handler = stdlib.Middleware(e.ctl)(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.sawPath(here, r)
		handler.ServeHTTP(w, r)
	})
}

func sensitiveMiddleware(e *env, here place, next http.Handler) http.Handler {
	handler := next
	if e.ctl != nil && !here.detached {
		handler = stdlib.Sensitive(e.ctl)(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.sawPath(here, r)
		if !here.detached {
			e.state(r).note(sawSensitive)
		}
		handler.ServeHTTP(w, r)
	})
}

// sawPath notes that a middleware of ours was given a request for the sensitive
// path, which the program may have put there itself.
func (e *env) sawPath(here place, r *http.Request) {
	if !here.detached && path.Clean(r.URL.Path) == sensitiveRoute && e.p.rules.sensitiveMethod(r.Method) {
		e.state(r).note(sawRoute)
	}
}

// compression is a writer that changes what is written, as gzip does.
func compression(unwraps bool) func(*env, place, http.Handler) http.Handler {
	return func(_ *env, _ place, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := &compressor{ResponseWriter: w}
			if unwraps {
				next.ServeHTTP(&unwrappingCompressor{c}, r)
			} else {
				next.ServeHTTP(c, r)
			}
		})
	}
}

type compressor struct {
	http.ResponseWriter
	begun bool
}

func (c *compressor) begin() {
	if !c.begun {
		c.begun = true
		c.Header().Set("X-Encoding", "upper")
		c.Header().Del("Content-Length")
	}
}

func (c *compressor) WriteHeader(status int) {
	if status >= 200 {
		c.begin()
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *compressor) Write(p []byte) (int, error) {
	c.begin()
	return c.ResponseWriter.Write(bytes.ToUpper(p))
}

func (c *compressor) Flush() {
	c.begin()
	http.NewResponseController(c.ResponseWriter).Flush()
}

type unwrappingCompressor struct{ *compressor }

func (c *unwrappingCompressor) Unwrap() http.ResponseWriter { return c.ResponseWriter }

const overrideField = "X-Http-Method-Override"

func methodOverride(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if method := r.Header.Get(overrideField); method != "" {
			r.Method = method
		}
		next.ServeHTTP(w, r)
	})
}

func methodOverrideOnCopy(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		other := *r
		if method := r.Header.Get(overrideField); method != "" {
			other.Method = method
		}
		next.ServeHTTP(w, &other)
	})
}

func recovers(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				http.Error(w, "recovered", http.StatusInternalServerError) // p may name the type of a writer
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// maxBytes is http.MaxBytesHandler, which closes the connection through
// net/http's own writer and through no other (go.dev/issue/73754): it gets one
// that is another in either case.
func maxBytes(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.MaxBytesHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
		}), 5).ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	})
}

type valueKey struct{}

func withContext(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), valueKey{}, 1)))
	})
}

func clone(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		next.ServeHTTP(w, r.Clone(ctx))
	})
}

func contextInPlace(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*r = *r.WithContext(context.WithValue(r.Context(), valueKey{}, 1))
		next.ServeHTTP(w, r)
	})
}

func recorder(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := httptest.NewRecorder()
		next.ServeHTTP(inner, r)
		replay(w, inner)
	})
}

const prefix = "/p"

func stripPrefix(_ *env, _ place, next http.Handler) http.Handler {
	return http.StripPrefix(prefix, next)
}

func rewrite(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			r.URL.Path = "/login"
		}
		next.ServeHTTP(w, r)
	})
}

func replaceBody(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = struct{ io.ReadCloser }{r.Body}
		next.ServeHTTP(w, r)
	})
}

// bufferBody reads the body before the handler runs, as body limits and request
// loggers do.
func bufferBody(e *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.state(r).reached.send()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "no body", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// reverseProxy has what is below it on a server of its own, which nobody tracks.
func reverseProxy(e *env, _ place, next http.Handler) http.Handler {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatal(err)
	}
	nowhere := log.New(io.Discard, "", 0)
	backend := &http.Server{Handler: next, ErrorLog: nowhere}
	e.start(func() error { return backend.Serve(l) })
	e.t.Cleanup(func() { backend.Close() })
	e.backends = append(e.backends, backend)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: l.Addr().String()})
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	proxy.ErrorLog = nowhere
	return proxy
}

func flushFirst(e *env, here place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.state(r).reached.send()
		err := http.NewResponseController(w).Flush()
		if err == nil {
			e.committed(here, r)
		}
		next.ServeHTTP(w, r)
	})
}

func accessLog(e *env, here place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, part := e.state(r), isPart(r)
		defer func() {
			if part {
				return // many at once
			}
			s.logf("access log: %s", dump(w.Header()))
			if !here.detached {
				s.sawAnnounced(core.Announced(r.Context()))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func headerAfter(_ *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		w.Header().Set("X-After", "1")
	})
}
