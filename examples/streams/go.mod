module github.com/politeclose/politeclose/examples/streams

go 1.26.0

require (
	github.com/coder/websocket v1.8.15
	github.com/politeclose/politeclose v0.0.0
)

require (
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/politeclose/politeclose => ../..
