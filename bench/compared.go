package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
)

// comparedSection says what the names in the tables stand for.
func comparedSection() (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", errors.New("the program does not know what it is built from")
	}
	versions := make(map[string]string)
	for _, module := range info.Deps {
		versions[module.Path] = module.Version
	}
	var text strings.Builder
	text.WriteString("## What is compared\n\n| name | what it is | version |\n| --- | --- | --- |\n")
	for _, c := range []struct{ name, is, module string }{
		{"politeclose", "`stdlib.Track` and `stdlib.Listener`, as `stdlib.Serve` has them, and in a router its adapter's middleware. \"Drain and routes\": three patterns. \"Every rule\": " +
			"also `Exempt`, `OnAge`, `OnRequestCount`, `OnStatus`, `OnMatch`, `OnLoad` with two signals, `DrainWhen`; none of them ends a connection. " +
			"\"Observed\": with an observer, `promadapter`'s collector and the status page, compared with the same without", ""},
		{"the eager header", "`if leaving.Load() { w.Header().Set(\"Connection\", \"close\") }` before the handler; the flag is down", ""},
		{"httpsnoop", "`httpsnoop.Wrap` with a hook at each method at which politeclose decides, and the same flag", "github.com/felixge/httpsnoop"},
		{"dskit's connection TTL", "`middleware.NewHTTPConnectionTTLMiddleware`", "github.com/grafana/dskit"},
		{"Traefik's keep-alive limits", "`keepAliveMaxRequests` and `keepAliveMaxTime`, re-created from their description, because nobody else can import them. " +
			"Not over HTTP/2, where the count of the original is a data race", ""},
		{"kube-apiserver's GOAWAY chance", "`--goaway-chance`, re-created from its description, because its package takes longer than a minute to build. " +
			"It does nothing over HTTP/1.1", ""},
		{"knative's Drainer", "`handlers.Drainer`", "knative.dev/pkg"},
		{"gin-contrib/graceful", "re-created from its description: gin, a `ReadHeaderTimeout` and `Shutdown`", ""},
		{"chi", "", "github.com/go-chi/chi/v5"},
		{"gin", "", "github.com/gin-gonic/gin"},
		{"echo v4", "", "github.com/labstack/echo/v4"},
		{"echo v5", "", "github.com/labstack/echo/v5"},
	} {
		version := "this source tree"
		switch {
		case c.module != "" && versions[c.module] == "":
			return "", fmt.Errorf("the program is not built from %s", c.module)
		case c.module != "":
			version = versions[c.module]
		case c.name != "politeclose":
			version = ""
		}
		fmt.Fprintf(&text, "| %s | %s | %s |\n", c.name, c.is, version)
	}
	return text.String(), nil
}
