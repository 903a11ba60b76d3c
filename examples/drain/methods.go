package main

import "github.com/politeclose/politeclose/internal/restart"

// polite is the name of the method whose losses are a failure.
const polite = "politeclose"

func methods() []restart.Method {
	return []restart.Method{
		restart.Shutdown(),
		restart.KeepAlivesOff(),
		restart.HeaderThenShutdown(),
		restart.Politeclose(restart.NetHTTP),
	}
}
