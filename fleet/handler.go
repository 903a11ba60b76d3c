package fleet

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/politeclose/politeclose/core"
)

// Handler is what this replica tells its peers of ctl: a few bytes of JSON. It
// belongs at [Path], on a server or port that the peers reach, and answers 401
// where a [BearerToken] is missing. A Share is for one Controller: with nil or
// a second one [Share.Run] and [Share.Poll] return an error, and the Handler
// answers 503 for nil. The connection over which a peer asks is left out where
// ctl counts it; the server may be another Controller's, or nobody's.
//
// It costs what [core.Controller.Stats] costs.
func (s *Share) Handler(ctl *core.Controller) http.Handler {
	if ctl == nil {
		s.misuse("the Handler's Controller is nil; make one with core.New")
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "this replica has no Controller", http.StatusServiceUnavailable)
		})
	}
	if !s.own.CompareAndSwap(nil, ctl) && s.own.Load() != ctl {
		s.misuse("the Share has Handlers for two Controllers; make a Share for each")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.authorized(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "this needs the fleet's bearer token", http.StatusUnauthorized)
			return
		}
		stats := ctl.Stats()
		connections := s.sentAway.connections(stats)
		if ctl.HasConnection(r.Context()) {
			connections = max(connections-1, 0) // without the one of this question
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		// A peer that has gone away meanwhile has no use for the error.
		_ = json.NewEncoder(w).Encode(report{
			Version:     reportVersion,
			ID:          s.id,
			Connections: &connections,
			Draining:    stats.Draining,
		})
	})
}

func (s *Share) misuse(what string) {
	err := errors.New("politeclose: " + what)
	s.misused.CompareAndSwap(nil, &err)
}

// authorized compares hashes, so that the time it takes tells nothing about the
// token, its length included.
func (s *Share) authorized(r *http.Request) bool {
	if s.token == "" {
		return true
	}
	want := sha256.Sum256([]byte(bearer(s.token)))
	got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

func bearer(token string) string { return "Bearer " + token }
