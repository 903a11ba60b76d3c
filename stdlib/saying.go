package stdlib

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// speech says one thing after another on goroutines of their own: a logger's
// handler is user code.
type speech struct{ last *latch } // opens when all has been said; nil before the first

func (s *speech) then(say func()) {
	before, said := s.last, newLatch()
	s.last = said
	go said.open(func() {
		if before != nil {
			<-before.opened
		}
		say()
	})
}

func (d *drain) say(line string, attrs ...slog.Attr) {
	d.speech.then(func() {
		d.ctl.Logger().LogAttrs(context.Background(), slog.LevelInfo, "politeclose: "+line, attrs...)
	})
}

func (d *drain) sayBegin() {
	attrs := []slog.Attr{slog.String("cause", d.cause)}
	if d.failure != nil {
		attrs = append(attrs, slog.Any("error", d.failure))
	}
	attrs = append(attrs, d.left()...)
	if d.lameDuck != nil {
		attrs = append(attrs, slog.Time("listening_until", d.began.Add(d.cfg.lameDuck)))
	}
	if d.signals != nil {
		attrs = append(attrs, slog.String("again", "to force"))
	}
	d.say("the drain begins", attrs...)
}

func (d *drain) sayClosed() {
	var losses []error
	d.tracker.each(d, func(t *tally) {
		if l := t.listener; l != nil && l.ended.isOpen() {
			if loss := l.loss.Load(); loss != nil {
				losses = append(losses, *loss)
			}
		}
	})
	for _, loss := range losses {
		d.say("who was about to connect may be reset", slog.Any("error", loss))
	}
	attrs := d.left()
	// So that nobody who waits for an idle browser tab thinks it takes until then.
	if end := time.Now().Add(d.cfg.idleGrace); d.cfg.idleGrace > 0 && end.Before(d.until) {
		attrs = append(attrs, slog.Time("idle_until", end))
	}
	d.say("the listener is closed", attrs...)
}

// left says how many connections there are, and until when they may stay.
func (d *drain) left() []slog.Attr {
	connections := int64(0)
	d.tracker.each(d, func(t *tally) { connections += t.live.Load() })
	return []slog.Attr{slog.Int64("connections", connections), slog.Time("until", d.until)}
}

// sayEnd says how the drain went, and waits a little for a logger that is slow.
func (d *drain) sayEnd() {
	line := "the drain is over"
	switch {
	case d.byOthers:
		line = "the server was shut down by http.Server's own Shutdown or Close"
	case errors.Is(d.err, ErrForced):
		line = "the drain was forced to end"
	case errors.Is(d.err, ErrDrainTimeout):
		line = "the drain has timed out"
	}
	d.say(line, slog.Any("", d.report)) // its attributes, without a group
	if d.flagUp {
		d.speech.then(d.ctl.Drained)
	}
	d.speech.last.opensWithin(lastWait)
}
