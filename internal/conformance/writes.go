package conformance

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode"
)

// cell is one way in which a handler answers.
type cell struct {
	name    string
	route   Route
	request request
	// silent allows that there is no final response to announce on.
	silent bool
	// asks says that the handler itself asks for a close.
	asks bool
	// bareCloses says that net/http closes by itself without us, and cannot
	// through a wrapped writer.
	bareCloses bool
	// hurried is for the Hurry layer alone.
	hurried bool
}

// get is a cell with a GET request and a net/http handler.
func get(name string, handler http.HandlerFunc) cell {
	return cell{name: name, route: Route{Method: http.MethodGet, Handler: handler}}
}

func native(name string, n Native) cell {
	return cell{name: name, route: Route{Method: http.MethodGet, Native: n}}
}

func (c cell) method(method string) cell {
	c.route.Method = method
	return c
}

func (c cell) silently() cell {
	c.silent = true
	return c
}

// withPath gives the cell its path, and its request the route's.
func (c cell) withPath() cell {
	c.route.Path = "/" + strings.Join(strings.FieldsFunc(c.name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), "-")
	if c.request.path == "" {
		c.request.path = c.route.Path
	}
	if c.request.method == "" {
		c.request.method = c.route.Method
	}
	return c
}

// writingCells are all the ways in which a handler writes.
func writingCells(file string, upstream upstream) []cell {
	cells := []cell{
		native("nothing", Nothing),
		native("a status only", StatusOnly),
		get("Write", write),
		get("Write of more than the buffers hold", func(w http.ResponseWriter, _ *http.Request) { w.Write(large) }),
		get("WriteString", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }),
		get("WriteHeader and Write with a content length", sized),
		get("io.Copy from a file", func(w http.ResponseWriter, _ *http.Request) { copyFile(w, file) }),
		get("http.ServeFile", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) }),
		// echo panics where the writer cannot flush.
		get("Flush first", flushFirst).silently(),
		get("FlushError first", flushErrorFirst).silently(),
		get("103 then 200", earlyHints(http.StatusOK)),
		get("103 then 404", earlyHints(http.StatusNotFound)),
		get("204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		get("304", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }),
		get("HEAD", sized).method(http.MethodHead),
		get("trailers", trailers),
		get("a status twice", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			w.Write([]byte("accepted"))
			w.WriteHeader(http.StatusOK)
		}),
		get("http.Redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }),
		native("the JSON helper", JSON),
		native("the redirect helper", Redirect),
		native("the file helper", File),
		// gin panics where the writer has no CloseNotify.
		native("the framework's own stream", Stream).silently(),
		native("an error returned or thrown", Fail),
		{name: "the framework's 404", request: request{method: http.MethodGet, path: "/not/there"}},
		{name: "the framework's 405", route: Route{Method: http.MethodGet, Native: Nothing}, request: request{method: http.MethodDelete}},
		{name: "the router's own redirect", route: Route{Method: http.MethodGet, Native: Nothing}, request: request{method: http.MethodGet, path: "/the-router-s-own-redirect/"}},
		get("http.ErrAbortHandler", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }).silently(),
		get("http.ErrAbortHandler after a flush", func(w http.ResponseWriter, r *http.Request) {
			flushFirst(w, r)
			panic(http.ErrAbortHandler)
		}).silently(),
		get("a panic", func(http.ResponseWriter, *http.Request) { panic("a panic in a test") }).silently(),
		get("a panic after Write", func(w http.ResponseWriter, r *http.Request) {
			write(w, r)
			panic("a panic in a test")
		}).silently(),
		get("http.TimeoutHandler below", http.TimeoutHandler(http.HandlerFunc(sized), time.Minute, "late").ServeHTTP),
		get("http.TimeoutHandler below that fires", overtake(http.HandlerFunc(write), 5*time.Millisecond).ServeHTTP),
		{
			name: "http.MaxBytesReader overflow", bareCloses: true,
			route:   Route{Method: http.MethodPost, Handler: http.HandlerFunc(overflow)},
			request: request{body: strings.Repeat("x", 64)},
		},
		get("the interfaces of the writer", interfaces),
		get("deadlines", deadlines),
		{name: "the end of its context", route: Route{Method: http.MethodGet, Native: Expired}, hurried: true},
	}
	cells = append(cells, connectionCells()...)
	cells = append(cells, proxyCells(upstream)...)
	cells = append(cells, upgradeCells()...)
	for i := range cells {
		cells[i] = cells[i].withPath()
	}
	return cells
}

var large = []byte(strings.Repeat("0123456789abcdef", 6<<10))

func write(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }

func sized(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "5")
	w.Header().Set("X-Kept", "yes")
	w.WriteHeader(http.StatusCreated)
	w.Write([]byte("hello"))
}

func copyFile(w io.Writer, name string) {
	f, err := os.Open(name)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	io.Copy(w, f)
}

func flushFirst(w http.ResponseWriter, _ *http.Request) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	w.Write([]byte("after the flush"))
}

func flushErrorFirst(w http.ResponseWriter, _ *http.Request) {
	err := http.NewResponseController(w).Flush()
	w.Write([]byte("after the flush, which returned "))
	if err != nil {
		w.Write([]byte(err.Error()))
	}
}

func earlyHints(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(status)
		w.Write([]byte("after the hints"))
	}
}

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-Declared")
	w.Write([]byte("body"))
	w.Header().Set("X-Declared", "one")
	w.Header().Set(http.TrailerPrefix+"X-Undeclared", "two")
}

// overtake is http.TimeoutHandler with a handler that never comes first.
func overtake(h http.Handler, d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		whole := r.Context()
		slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			h.ServeHTTP(w, r)
			<-whole.Done()
		})
		http.TimeoutHandler(slow, d, "too late").ServeHTTP(w, r)
	})
}

func overflow(w http.ResponseWriter, r *http.Request) {
	_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 16))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	}
}
