package statuspage

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/politeclose/politeclose/core"
)

// view is what there is to see, as JSON has it.
type view struct {
	Host    string          `json:"host"`
	Time    time.Time       `json:"time"`
	Stats   core.Stats      `json:"stats"`
	Recent  []core.Interval `json:"recent_closes"` // 10 s each, the oldest first
	Open    []connection    `json:"connections,omitempty"`
	More    int             `json:"more_connections,omitempty"` // open, and not in Open
	Refusal string          `json:"refused,omitempty"`
}

// connection is one in the table of a drain.
type connection struct {
	core.ConnectionStat
	AgeSeconds float64 `json:"age_seconds"`
	RanSeconds float64 `json:"ran_seconds,omitempty"`
}

// listed is how many connections the table has room for.
const listed = 200

var host = sync.OnceValue(func() string {
	name, _ := os.Hostname()
	return name
})

func look(ctl *core.Controller) view {
	v := view{Host: host(), Time: time.Now().UTC().Round(time.Millisecond), Stats: ctl.Stats(), Recent: ctl.RecentCloses()}
	if v.Stats.Draining {
		for _, c := range ctl.Connections(listed) {
			v.Open = append(v.Open, connection{c, c.Age.Seconds(), c.Ran.Seconds()})
		}
		v.More = max(v.Stats.Open+v.Stats.Hijacked-len(v.Open), 0)
	}
	return v
}

// rule is a reason for which connections end, with its closes.
type rule struct {
	core.Reason
	Color         int // of its part of the chart
	Recent, Total uint64
}

// builtin are the reasons in the order in which core asks the rules.
var builtin = []core.Reason{
	core.ReasonDrain, core.ReasonHandler, core.ReasonRoute, core.ReasonClient,
	core.ReasonStatus, core.ReasonAge, core.ReasonRequests, core.ReasonLoad, core.ReasonExcess,
}

// rules returns all reasons, the declared ones last, in an order that stays.
func (v view) rules() []rule {
	reasons := slices.SortedFunc(maps.Keys(v.Stats.Closes), func(a, b core.Reason) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
	})
	all := make([]rule, len(reasons))
	for n, reason := range reasons {
		all[n] = rule{Reason: reason, Color: n % colors, Total: v.Stats.Closes[reason]}
		for _, interval := range v.Recent {
			all[n].Recent += interval.Closes[reason]
		}
	}
	return all
}

func place(reason core.Reason) int {
	if n := slices.Index(builtin, reason); n >= 0 {
		return n
	}
	return len(builtin)
}
