module github.com/politeclose/politeclose/echov5adapter

go 1.26.0

require (
	github.com/labstack/echo/v5 v5.4.4
	github.com/politeclose/politeclose v0.0.0
)

require (
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/politeclose/politeclose => ../
