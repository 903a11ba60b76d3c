package differential

import (
	"fmt"
	"net/http"
	"strings"
)

// program is a small server and what its client does.
type program struct {
	served   served
	http2    bool
	rules    rules
	stack    []int // of layers, the outermost first
	requests []request
	// drainAtEnd ends the server while a connection waits for its next request,
	// which is then answered.
	drainAtEnd bool
}

// served says how the program gives its server to us.
type served int

const (
	byServe     served = iota // stdlib.Serve
	byTrack                   // stdlib.Track and Listener
	byTrackOnly               // stdlib.Track
	untracked                 // stdlib.Middleware around everything
)

func (s served) String() string {
	return [...]string{"Serve", "Track and Listener", "Track", "Middleware on an untracked server"}[s]
}

// lossless reports whether an announced close cannot reset the connection.
func (s served) lossless() bool { return s == byServe || s == byTrack }

type rules struct {
	route    string // OnRoutes, "" for none
	statuses bool   // OnStatus(403, 503)
	match    bool   // OnMatch for the field Legacy
	count    int    // OnRequestCount, 0 for none
	exempt   bool   // Exempt("/health")
	idle     bool   // rules that have no reason to close anything
}

// sensitiveMethod reports whether the sensitive route is one for this method.
func (r rules) sensitiveMethod(method string) bool {
	return r.route == sensitiveRoute || r.route != "" && method == http.MethodPost
}

func (r rules) String() string {
	var all []string
	if r.route != "" {
		all = append(all, fmt.Sprintf("OnRoutes(%q)", r.route))
	}
	if r.statuses {
		all = append(all, "OnStatus(403, 503)")
	}
	if r.match {
		all = append(all, "OnMatch(Legacy)")
	}
	if r.count > 0 {
		all = append(all, fmt.Sprintf("OnRequestCount(%d)", r.count))
	}
	if r.exempt {
		all = append(all, `Exempt("/health")`)
	}
	if r.idle {
		all = append(all, "OnAge, OnLoad, OnExcess and DrainWhen with no reason")
	}
	if all == nil {
		return "no rules"
	}
	return strings.Join(all, ", ")
}

// request is one request of the client, and what the handler does with it.
type request struct {
	version     version
	method      string
	path        string
	legacy      bool // a field Legacy, for the rule of that kind
	close       bool // Connection: close
	override    bool // X-Http-Method-Override: POST
	body        body
	send        send
	expect      bool // Expect: 100-continue
	pipelined   bool // sent together with the one before
	halfClose   bool
	drainBefore bool
	script      []int // of ops
}

type version int

const (
	http11 version = iota
	http10
	http10KeepAlive
)

func (v version) String() string {
	return [...]string{"HTTP/1.1", "HTTP/1.0", "HTTP/1.0 with keep-alive"}[v]
}

type body int

const (
	noBody body = iota
	shortBody
	chunkedBody
	bigBody // more than net/http discards
)

func (b body) String() string {
	return [...]string{"no body", "a short body", "a chunked body", "a big body"}[b]
}

func (b body) size() int { return [...]int{0, 10, 10, 300_000}[b] }

type send int

const (
	whole send = iota
	split      // the second half when the handler has had the first, or has returned
	abandoned
)

func (s send) String() string {
	return [...]string{"", ", in two halves", ", abandoned half-way"}[s]
}

func (r request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s %s, %v%v", r.version, r.method, r.path, r.body, r.send)
	for _, option := range []struct {
		set  bool
		name string
	}{
		{r.legacy, "Legacy"},
		{r.close, "Connection: close"},
		{r.override, "X-Http-Method-Override: POST"},
		{r.expect, "Expect: 100-continue"},
		{r.pipelined, "together with the one before"},
		{r.halfClose, "then a half-close"},
		{r.drainBefore, "after the beginning of a drain"},
	} {
		if option.set {
			b.WriteString(", " + option.name)
		}
	}
	b.WriteString("; the handler: ")
	if len(r.script) == 0 {
		b.WriteString("nothing")
	}
	for i, op := range r.script {
		if i > 0 {
			b.WriteString(" · ")
		}
		b.WriteString(ops[op].name)
	}
	return b.String()
}

func (p *program) String() string {
	var b strings.Builder
	protocol := "HTTP/1"
	if p.http2 {
		protocol = "HTTP/2"
	}
	fmt.Fprintf(&b, "%v, %s, %v\nstack:", p.served, protocol, p.rules)
	for _, l := range p.stack {
		b.WriteString(" " + layers[l].name + " >")
	}
	b.WriteString(" handler\n")
	for i, r := range p.requests {
		fmt.Fprintf(&b, "request %d: %v\n", i, r)
	}
	if p.drainAtEnd {
		b.WriteString("the server drains while a connection waits for its next request\n")
	}
	return b.String()
}

// clientCloses reports whether the request says that the client closes.
func (r request) clientCloses() bool { return r.close || r.version == http10 }

// has reports whether one of the program's layers has a property.
func (p *program) has(property func(layer) bool) bool {
	return p.hasAbove(len(p.stack), property)
}

// hasAbove is has for the layers above the one in that place.
func (p *program) hasAbove(place int, property func(layer) bool) bool {
	for _, l := range p.stack[:place] {
		if property(layers[l]) {
			return true
		}
	}
	return false
}
