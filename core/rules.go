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

func (c *config) rules() (rules ruleSet) {
	for _, r := range []struct {
		given bool
		rule  ruleSet
	}{
		{!c.routes.empty(), hasRoutes},
		{!c.exempt.empty(), hasExempt},
		{len(c.matches) > 0, hasMatch},
		{c.statuses != statusSet{}, hasStatus},
		{c.maxAge > 0, hasAge},
		{c.maxRequests > 0, hasRequestCount},
		{len(c.signals) > 0, hasLoad},
		{len(c.flags) > 0, hasFlag},
	} {
		if r.given {
			rules |= r.rule
		}
	}
	return rules
}
