package load

import "github.com/politeclose/politeclose/core"

// InFlight is the number of exchanges under way, without hijacked and streaming
// ones: the queue that the server's clients are in. Its name is "in_flight".
func InFlight(soft, hard int) core.Signal {
	return ofController("in_flight", soft, hard, func(s core.Snapshot) int { return s.InFlight })
}

// Connections is the number of open connections, without hijacked ones. It is 0
// on a server that does not report its connections (stdlib.Track). Its name is
// "connections".
func Connections(soft, hard int) core.Signal {
	return ofController("connections", soft, hard, func(s core.Snapshot) int { return s.Connections })
}

func ofController(name string, soft, hard int, value func(core.Snapshot) int) core.Signal {
	return core.Signal{
		Name: name, Soft: float64(soft), Hard: float64(hard),
		Read: func(s core.Snapshot) (float64, error) { return float64(value(s)), nil },
	}
}

// Func is any other measure, in its own unit. read is called as
// [core.Signal.Read] says. While it is nil, panics or returns NaN or an
// infinity the value is unknown, which is logged once, and the signal asks for
// nothing.
func Func(name string, soft, hard float64, read func() float64) core.Signal {
	return core.Signal{
		Name: name, Soft: soft, Hard: hard,
		Read: func(core.Snapshot) (float64, error) { return read(), nil },
	}
}
