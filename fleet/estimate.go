package fleet

import "time"

// window is for how many intervals a report counts.
const window = 16

// reports are the last ones of the peers, by address.
type reports struct{ of map[string]remembered }

// remembered is a report, and how many connections this replica had then.
type remembered struct {
	connections, own int
	at               time.Duration
}

// keep forgets the reports of before since, and of those who are no longer
// peers.
func (r *reports) keep(peers []string, since time.Duration) {
	kept := make(map[string]remembered, len(r.of))
	for _, peer := range peers {
		if report, ok := r.of[peer]; ok && report.at >= since {
			kept[peer] = report
		}
	}
	r.of = kept
}

func (r *reports) add(peer string, report remembered) { r.of[peer] = report }

func (r *reports) forget(peer string) { delete(r.of, peer) }

// summary is what the reports say together.
type summary struct {
	answers     int
	connections float64 // of all who answered
	own         float64 // this replica's, summed up as often
}

func (r *reports) summary() summary {
	s := summary{answers: len(r.of)}
	for _, report := range r.of {
		s.connections += float64(report.connections)
		s.own += float64(report.own)
	}
	return s
}

// mean is that of this replica, with so many connections now, and of the
// others, who are taken to have gained since what it has gained itself.
//
// Ten of a hundred replicas with 1,000 connections each have crashed, and this
// one has 1,111 now. The reports are of before, 1,000 with 1,000 of our own, so
// that the others are taken to have 1,111 as well, and nobody is above the
// mean. After the next sixteen intervals the reports say so themselves.
func (s summary) mean(own int) float64 {
	n := float64(s.answers)
	gained := max(0, n*float64(own)-s.own)
	return (s.connections + gained + float64(own)) / (n + 1)
}
