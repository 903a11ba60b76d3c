package core

// ruleSet tells which kinds of rules a Controller has, so that an exchange passes
// over the others without a look at their data.
type ruleSet uint8

const (
	hasRoutes ruleSet = 1 << iota
	hasExempt
	hasMatch
	hasStatus
	hasAge
	hasRequestCount
	hasLoad
	hasFlag

	needsRoute = hasRoutes | hasExempt
	needsClock = hasAge | hasLoad | hasFlag
	voluntary  = hasAge | hasRequestCount | hasLoad
)

func (cfg *config) rules() (rules ruleSet) {
	for _, r := range []struct {
		given bool
		rule  ruleSet
	}{
		{!cfg.routes.empty(), hasRoutes},
		{!cfg.exempt.empty(), hasExempt},
		{len(cfg.matches) > 0, hasMatch},
		{cfg.statuses != statusSet{}, hasStatus},
		{cfg.maxAge > 0, hasAge},
		{cfg.maxRequests > 0, hasRequestCount},
		{len(cfg.signals) > 0, hasLoad},
		{len(cfg.flags) > 0, hasFlag},
	} {
		if r.given {
			rules |= r.rule
		}
	}
	return rules
}
