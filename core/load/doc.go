// Package load has the signals for [core.OnLoad]:
//
//	ctl, err := core.New(core.OnLoad(
//		load.InFlight(200, 400),
//		load.SchedulerLatency(5*time.Millisecond, 50*time.Millisecond),
//	))
//
// The highest of them counts. Below its soft threshold nobody has to go; from
// there to the hard one a growing share of the connections does, 0.9 at most.
//
// InFlight and Connections are about one Controller, the others about the
// process. A Signal remembers its last readings: make one for each Controller,
// or they shorten each other's windows. Reading one costs at most some
// microseconds, ten times a second.
package load
