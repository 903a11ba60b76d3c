module github.com/politeclose/politeclose/examples/systemd

go 1.26.0

require (
	github.com/coreos/go-systemd/v22 v22.7.0
	github.com/politeclose/politeclose v0.0.0
)

require golang.org/x/sys v0.49.0 // indirect

replace github.com/politeclose/politeclose => ../../
