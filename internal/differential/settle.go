package differential

import (
	"net/http"
	"slices"
)

// settleStack takes out what is not right, or not certain, without us.
func (p *program) settleStack() {
	var kept []int
	var above traits
	for _, i := range p.stack {
		l := layers[i]
		switch {
		case l.routes && above.routes:
			// Two routers would make the route a matter of opinion.
			continue
		case l.givesUp && (above.givesUp || above.pools):
			// Which one fires first, and a router's recycled context that a handler
			// outlives.
			continue
		case l.detaches && (above.givesUp || above.detaches):
			// A proxy that is given up aborts, when it likes.
			continue
		case l.strips && above.routes:
			continue
		case l.reads && above.flushes:
			// Behind a header that has left net/http throws the body away, unless it
			// is going to close the connection.
			continue
		case l.flushes && above.detaches:
			// A proxy passes the header on when it has it, or with the body.
			continue
		case l.keeps && p.served == untracked:
			// A middleware may not write the header in its caller's place, so its
			// announcement on a response that nobody wrote stays in the map.
			continue
		case l.keeps && above.amends:
			// Of requests at the same time one may write a map that another one reads.
			continue
		case l.swaps && (p.served == untracked || p.http2):
			// net/http looks at its own request's body, and ours is a copy of it.
			continue
		}
		kept = append(kept, i)
		above = above.and(l.traits)
	}
	p.stack = kept
}

func (p *program) prefixed(path string) string {
	if p.has(func(l layer) bool { return l.strips }) && path != "*" {
		return prefix + path
	}
	return path
}

// settle takes out of a request what cannot be, or is not certain, without us.
func (p *program) settle(r *request, first bool) {
	var above traits
	for _, i := range p.stack {
		above = above.and(layers[i].traits)
	}
	if r.path == "*" {
		if p.http2 || p.served == untracked {
			r.path = "/a"
		} else {
			*r = request{method: "OPTIONS", path: "*", legacy: r.legacy, pipelined: r.pipelined, drainBefore: r.drainBefore}
		}
	}
	r.path = p.prefixed(r.path)
	r.pipelined = r.pipelined && !first
	if r.method == http.MethodHead && (p.http2 || above.detaches) {
		// A flush ends the response, and the request's context.
		r.method = http.MethodGet
	}
	if p.http2 {
		r.version, r.close, r.halfClose = http11, false, false
		if r.body > shortBody {
			r.body = shortBody
		}
	}
	if r.version != http11 {
		r.expect = false
		if r.body == chunkedBody {
			r.body = shortBody
		}
	}
	if r.method == http.MethodHead {
		r.override = false // net/http would send the body of a GET
	}
	if r.clientCloses() {
		// What is unread resets the connection.
		r.send = whole
		if r.body == bigBody {
			r.body = shortBody
		}
	}
	if above.watches || r.expect || r.send != whole {
		r.halfClose = false
	}
	if above.detaches {
		r.expect = false
		r.body, r.send = min(r.body, shortBody), whole
		if above.limits || above.flushes {
			r.body = noBody // it is uncertain how much of it the backend gets
		}
	}
	if r.body == noBody {
		r.expect = false
		if r.send == split {
			r.send = whole
		}
	}
	if r.send == abandoned && above.reads {
		r.send = whole
	}
	if r.expect {
		r.send = whole
		// The client waits for a response or for its permission, and a handler that
		// has begun the one can no longer give the other. A cache may replay a
		// length of which there is no body.
		r.expect = !above.flushes && !above.swaps && !above.caches
	}
	p.settleScript(r, above)
}

// settleScript takes out of a handler what cannot be, or is not certain.
func (p *program) settleScript(r *request, above traits) {
	var script []int
	commits, lost := above.flushes, false // the header has left, the body is not whole
	floods, closed := false, false
	for _, i := range r.script {
		o := ops[i]
		var out bool
		switch {
		case o.http1:
			out = p.http2 || above.detaches || above.concurrent
		case o.touches:
			// On HTTP/2, and without a record, the handler's request is a copy.
			out = p.http2 || p.served == untracked || above.detaches
		}
		out = out || o.stalls && !above.givesUp ||
			o.answers && (r.send != abandoned || r.body == noBody || r.clientCloses() || above.limits || above.reads || above.swaps || commits || lost) ||
			o.exits && above.concurrent ||
			o.keeps && (above.pools || raceDetector) || // a race that net/http allows
			o.marks && r.send == abandoned ||
			o.gone && (r.send != abandoned || r.body != noBody || above.concurrent) ||
			o.duplex && (above.limits || commits || lost) || // net/http panics if some of the body is left
			o.early && above.once ||
			o.early && p.http2 && r.send == abandoned || // a race within net/http
			// What is unread resets the connection, and with it what the sockets hold.
			o.dies && floods && (r.body == bigBody || r.send == split) ||
			// net/http takes what is left of the body that it had for the next request.
			o.swaps && closed && r.body == bigBody ||
			// A proxy sends the body behind the header, and its backend, which is to
			// close, reads none that its handler leaves.
			o.floods && above.detaches && r.body != noBody ||
			o.switches && (r.version != http11 || r.expect || commits) ||
			// What a proxy passes on, and when, is its own affair.
			above.detaches && (o.parts || o.early || o.duplex || o.cuts || o.chunks || o.awaits || o.marks && commits) ||
			// The client waits, and net/http for the client.
			r.expect && (o.reads && commits || o.swaps || o.closes || o.duplex || o.cuts && !o.dies)
		if out {
			continue
		}
		script = append(script, i)
		commits, lost = commits || o.commits, lost || o.swaps || o.closes || o.reads
		floods, closed = floods || o.floods, closed || o.closes
		if o.ends {
			break
		}
	}
	r.script = script
}

// settleOrder takes out what would make the order of things uncertain.
func (p *program) settleOrder() {
	caches := p.has(func(l layer) bool { return l.caches })
	for i := range p.requests {
		r := &p.requests[i]
		if i == 0 {
			continue
		}
		before := &p.requests[i-1]
		hasTrait := func(r *request, trait func(op) bool) bool {
			return slices.ContainsFunc(r.script, func(i int) bool { return trait(ops[i]) })
		}
		switch {
		case !r.pipelined:
		case before.halfClose || before.send != whole || before.expect || before.body == bigBody:
			r.pipelined = false
		case before.version != http11:
			// A response without a length ends with the connection then, which
			// net/http resets where more has come.
			r.pipelined = false
		case r.body == bigBody && hasTrait(before, func(o op) bool { return o.floods }):
			// If the connection ends with the body unread, the reset destroys what
			// is still on the way of the response before.
			r.pipelined = false
		case hasTrait(before, func(o op) bool { return o.ends || o.strays || o.keeps || o.switches }):
			r.pipelined = false
		case p.http2 && (p.served == untracked || caches || p.rules.count > 0 || hasTrait(before, uncertainSideBySide) || hasTrait(r, uncertainSideBySide)):
			r.pipelined = false
		}
		if r.pipelined {
			r.drainBefore = false
		}
	}
}

// uncertainSideBySide is for streams of one connection.
func uncertainSideBySide(o op) bool { return o.marks || o.parts || o.speaks }
