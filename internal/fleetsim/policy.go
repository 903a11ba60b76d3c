package fleetsim

import "time"

// Policy is what replicas do about their number of connections.
type Policy struct {
	Name   string
	age    time.Duration // 0 = no limit
	excess bool
}

// Policies are those that are compared.
func Policies() []Policy {
	return []Policy{
		{Name: "none"},
		{Name: "age 5m", age: 5 * time.Minute},
		{Name: "age 1h", age: time.Hour},
		{Name: "excess", excess: true},
		{Name: "excess, age 1h", age: time.Hour, excess: true},
	}
}

// warmUp is how long before the scenario the connections were opened.
func (p Policy) warmUp() time.Duration {
	if p.age > 0 {
		return p.age
	}
	return time.Hour
}
