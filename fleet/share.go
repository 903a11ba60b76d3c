package fleet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core"
)

// Share is what one replica knows of its fleet. Make it with [NewShare], one
// for each [core.Controller]; all methods are safe for concurrent use. It runs
// nothing but its [Share.Run].
type Share struct {
	config
	id  string
	own atomic.Pointer[core.Controller] // the Handler's

	sentAway sentAway

	// misused has what makes every poll fail.
	misused atomic.Pointer[error]

	polling sync.Mutex // it guards the rest
	peers   lister
	circle  circle
	reports reports

	known atomic.Pointer[knowledge]
	said  sync.Once
}

// knowledge is what a poll leaves to FairShare.
type knowledge struct {
	summary
	at time.Duration
}

// stalePolls is how many intervals a share may be old.
const stalePolls = 3

// NewShare returns a Share that learns its peers' addresses, "host:port", from
// the function, or an error that names the first option with a bad argument,
// the value and what is allowed.
//
// peers is called once a poll. It may name this replica too, which knows itself
// by the Share's random id. It should return when its context is done; one that
// does not is not waited for, nor called again until it has. An error and a
// panic make the poll fail.
func NewShare(peers func(context.Context) ([]string, error), opts ...Option) (*Share, error) {
	if peers == nil {
		return nil, errors.New("politeclose: NewShare: the peers function is nil; fleet.DNS makes one")
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, fmt.Errorf("politeclose: %w", err)
	}
	s := &Share{config: *cfg}
	s.id = fmt.Sprintf("%016x", s.random.Uint64())
	s.circle.init(s.random.Uint64())
	s.peers.list = peers
	s.known.Store(new(knowledge))
	return s, nil
}

// FairShare returns how many connections this replica should have, and 0 where
// that is not known. It is meant for [core.OnExcess]. It takes a snapshot of
// the Controller's [core.Stats] and waits for nobody.
func (s *Share) FairShare() int {
	known, ctl := s.known.Load(), s.own.Load()
	if known.answers == 0 || ctl == nil || s.now()-known.at > stalePolls*s.interval {
		return 0
	}
	return int(math.Ceil(known.mean(s.sentAway.connections(ctl.Stats())) * (1 + s.margin)))
}

// Run polls until ctx is done, and then returns its error. It returns another
// one at once where no poll can succeed: there is no [Share.Handler], or it was
// made for two Controllers. A poll that fails is said once, by the [Logger].
func (s *Share) Run(ctx context.Context) error {
	if err := s.usable(); err != nil {
		return err
	}
	for {
		err := s.Poll(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.said.Do(func() {
				s.logger.Warn("politeclose: the fair share is not known, and nobody is closed for excess while it is not; this is said once",
					"error", err)
			})
		}
		if !sleep(ctx, s.pause()) {
			return ctx.Err()
		}
	}
}

func (s *Share) pause() time.Duration {
	s.polling.Lock()
	defer s.polling.Unlock()
	return time.Duration(float64(s.interval) * (0.9 + 0.2*s.random.Float64()))
}

func sleep(ctx context.Context, d time.Duration) (whole bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Share) usable() error {
	if err := s.misused.Load(); err != nil {
		return *err
	}
	if s.own.Load() == nil {
		return errors.New("politeclose: the Share has no Handler: its peers cannot ask it, and it does not know its own connections")
	}
	return nil
}

// Poll asks a sample of the peers once, and returns why the share is not known
// after that, nil where it is. [Share.Run] calls it; it is for programs that
// have a schedule of their own. Of two calls at once the second waits for the
// first.
func (s *Share) Poll(ctx context.Context) error {
	if err := s.usable(); err != nil {
		return err
	}
	s.polling.Lock()
	defer s.polling.Unlock()
	var known knowledge
	err := s.poll(ctx)
	if err == nil {
		known = knowledge{s.reports.summary(), s.now()}
	}
	s.known.Store(&known)
	return err
}

func (s *Share) poll(ctx context.Context) error {
	peers, err := s.peers.call(ctx, s.patience())
	if err != nil {
		return fmt.Errorf("politeclose: no peers: %w", err)
	}
	now := s.now()
	s.reports.keep(peers, now-window*s.interval)
	sample := s.circle.next(peers, s.sample)
	stats := s.own.Load().Stats()
	s.sentAway.poll(stats)
	own := s.sentAway.connections(stats)
	var asked, answered int
	var failed error
	for i, answer := range s.ask(ctx, sample) {
		s.reports.forget(sample[i])
		if answer.err == nil && answer.ID == s.id {
			continue // this replica, asked by itself
		}
		asked++
		if answer.err != nil {
			failed = answer.err
			continue
		}
		answered++
		if !answer.Draining {
			s.reports.add(sample[i], remembered{*answer.Connections, own, now})
		}
	}
	switch {
	case 2*answered < asked:
		return fmt.Errorf("politeclose: of %d peers asked %d answered: %w", asked, answered, failed)
	case len(s.reports.of) == 0:
		return errors.New("politeclose: there is no peer to share with")
	}
	return nil
}

// patience is how long a peer, or the peers function, has to answer. In a
// simulation no time passes meanwhile, however long the machine needs for it.
func (s *Share) patience() time.Duration {
	if s.simulated {
		return math.MaxInt64
	}
	return min(s.interval, 2*time.Second)
}
