package core

import (
	"fmt"
	"slices"
)

// Reason says why a connection had to end. It is a key of [Stats.Closes] and
// meant to be a metric's label: the set is fixed when [New] returns.
type Reason string

// The reasons that the rules of this package give, in the order in which the
// rules are asked. [OnMatch] declares others.
const (
	ReasonDrain    Reason = "drain"    // Controller.Drain or DrainWhen
	ReasonHandler  Reason = "handler"  // CloseAfter, or a Connection header with "close" left by the handler
	ReasonRoute    Reason = "route"    // OnRoutes, or an adapter's Sensitive
	ReasonClient   Reason = "client"   // OnMatch, unless it names its own
	ReasonStatus   Reason = "status"   // OnStatus
	ReasonAge      Reason = "age"      // OnAge
	ReasonRequests Reason = "requests" // OnRequestCount
	ReasonLoad     Reason = "load"     // OnLoad
	ReasonExcess   Reason = "excess"   // OnExcess
)

// reasonIndex is a Reason as it is stored on a connection: one plus its place in
// Controller.reasons, so that zero is none. It fits in seven bits.
type reasonIndex uint32

const (
	drainIndex reasonIndex = iota + 1
	handlerIndex
	routeIndex
	clientIndex
	statusIndex
	ageIndex
	requestsIndex
	loadIndex
	excessIndex
)

const maxReasons = 0x7f

var builtinReasons = []Reason{
	ReasonDrain, ReasonHandler, ReasonRoute, ReasonClient,
	ReasonStatus, ReasonAge, ReasonRequests, ReasonLoad, ReasonExcess,
}

// reasons are those of a Controller, in the order of their reasonIndex.
type reasons []Reason

// declare returns the index of a reason that an option names, adding it if it is
// new.
func (rs *reasons) declare(r Reason) (reasonIndex, error) {
	if r == "" {
		return 0, fmt.Errorf("OnMatch: the reason is empty; name one, such as core.ReasonClient or %q", "legacy")
	}
	if i := slices.Index(*rs, r); i >= 0 {
		if i < len(builtinReasons) && r != ReasonClient {
			return 0, fmt.Errorf("OnMatch: the reason %q belongs to another rule; use core.ReasonClient or a name of your own", r)
		}
		return reasonIndex(i + 1), nil
	}
	if len(*rs) == maxReasons {
		return 0, fmt.Errorf("OnMatch: %q is one reason too many; at most %d can be declared", r, maxReasons-len(builtinReasons))
	}
	*rs = append(*rs, r)
	return reasonIndex(len(*rs)), nil
}
