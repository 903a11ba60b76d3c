// Package exampleapp is what the example servers have in common: their flags,
// and what they print.
package exampleapp

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/core/load"
	"github.com/politeclose/politeclose/stdlib"
)

// Settings are the flags of an example server.
type Settings struct {
	addr                              string
	lameDuck, drainTimeout, idleGrace time.Duration
	advertise                         time.Duration
	cert, key                         string

	routes, exempt, statuses, legacy string
	age, spread                      time.Duration
	requests                         int
	inFlight, drainFile              string
	perSecond                        float64
	burst                            int
}

// Parse reads the flags of the command line.
func Parse() *Settings {
	s := new(Settings)
	flag.StringVar(&s.addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	flag.StringVar(&s.cert, "tls-cert", "", "serve TLS with this certificate `file`")
	flag.StringVar(&s.key, "tls-key", "", "and this key `file`")
	flag.DurationVar(&s.lameDuck, "lame-duck", 0, "keep the listener open for so long after a drain has begun")
	flag.DurationVar(&s.drainTimeout, "drain-timeout", 25*time.Second, "bound of the whole drain")
	flag.DurationVar(&s.idleGrace, "idle-grace", 5*time.Second, "close connections without a request for so long, once the listener is closed")
	flag.DurationVar(&s.advertise, "advertise-keep-alive", 0, "advertise the idle timeout of 60s less this margin; 0 advertises nothing")

	flag.StringVar(&s.routes, "routes", "POST /login", "sensitive routes: `patterns`, separated by commas")
	flag.StringVar(&s.exempt, "exempt", "/readyz", "`patterns` of routes that age, count and load do not close")
	flag.StringVar(&s.statuses, "statuses", "", "`codes` after which the connection ends, separated by commas")
	flag.StringVar(&s.legacy, "legacy-agent", "", "end connections of clients whose User-Agent begins with this `text`")
	flag.DurationVar(&s.age, "max-age", 0, "end connections older than this; 0 never does")
	flag.IntVar(&s.requests, "max-requests", 0, "end connections after so many requests; 0 never does")
	flag.StringVar(&s.inFlight, "in-flight", "", "shed load between these numbers of requests in flight: `soft,hard`")
	flag.StringVar(&s.drainFile, "drain-file", "", "announce while this `file` exists")
	flag.DurationVar(&s.spread, "drain-spread", 0, "spread a drain's announcements over so long")
	flag.Float64Var(&s.perSecond, "budget", 0, "closes per second for age, count and load; 0 is the default")
	flag.IntVar(&s.burst, "burst", 20, "closes at once, where -budget is given")
	flag.Parse()
	if flag.NArg() > 0 {
		exit(2, fmt.Errorf("unexpected argument %q; this program has flags only, see -help", flag.Arg(0)))
	}
	return s
}

// Rules are the Controller's options.
func (s *Settings) Rules() []core.Option {
	var rules []core.Option
	add := func(given bool, rule func() core.Option) {
		if given {
			rules = append(rules, rule())
		}
	}
	add(s.routes != "", func() core.Option { return core.OnRoutes(list(s.routes)...) })
	add(s.exempt != "", func() core.Option { return core.Exempt(list(s.exempt)...) })
	add(s.statuses != "", func() core.Option { return core.OnStatus(numbers("-statuses", s.statuses)...) })
	add(s.legacy != "", func() core.Option { return core.OnMatch("legacy", s.isLegacy) })
	add(s.age != 0, func() core.Option { return core.OnAge(s.age) })
	add(s.requests != 0, func() core.Option { return core.OnRequestCount(s.requests) })
	add(s.inFlight != "", func() core.Option { return core.OnLoad(s.inFlightSignal()) })
	add(s.drainFile != "", func() core.Option { return core.DrainWhen(s.drainFileExists) })
	add(s.spread != 0, func() core.Option { return core.DrainSpread(s.spread) })
	add(s.perSecond != 0, func() core.Option { return core.Budget(s.perSecond, s.burst) })
	return rules
}

func (s *Settings) isLegacy(r *http.Request) bool {
	return strings.HasPrefix(r.UserAgent(), s.legacy)
}

func (s *Settings) inFlightSignal() core.Signal {
	thresholds := numbers("-in-flight", s.inFlight)
	if len(thresholds) != 2 {
		exit(2, fmt.Errorf("-in-flight: %q is not allowed; give two numbers, soft,hard", s.inFlight))
	}
	return load.InFlight(thresholds[0], thresholds[1])
}

func (s *Settings) drainFileExists() bool {
	_, err := os.Stat(s.drainFile)
	return err == nil
}

// listener takes over the listening socket that a supervisor kept open for the
// program (sd_listen_fds(3)), so that nobody is refused during a restart, or opens
// one.
func (s *Settings) listener() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) && os.Getenv("LISTEN_FDS") == "1" {
		socket := os.NewFile(3, "LISTEN_FDS")
		defer socket.Close() // a net.FileListener has a copy
		return net.FileListener(socket)
	}
	return net.Listen("tcp", s.addr)
}

// greeter says where the server listens once it accepts: by then Serve has found
// nothing wrong with the flags.
type greeter struct {
	net.Listener
	greet func()
}

func (g *greeter) Accept() (net.Conn, error) {
	g.greet()
	return g.Listener.Accept()
}

// Listen listens and returns the options of Serve.
func (s *Settings) Listen() []stdlib.ServeOption {
	listener, err := s.listener()
	if err != nil {
		exit(1, err)
	}
	scheme := "http"
	greeter := &greeter{listener, sync.OnceFunc(func() {
		fmt.Printf("listening on %s://%s; SIGTERM or Ctrl-C drains, a second one forces\n", scheme, listener.Addr())
	})}
	options := []stdlib.ServeOption{
		stdlib.On(greeter),
		stdlib.Signals(),
		stdlib.LameDuck(s.lameDuck),
		stdlib.DrainTimeout(s.drainTimeout),
		stdlib.IdleGrace(s.idleGrace),
	}
	if s.advertise != 0 {
		options = append(options, stdlib.AdvertiseKeepAlive(s.advertise))
	}
	if s.cert != "" || s.key != "" {
		scheme = "https"
		options = append(options, stdlib.TLS(s.cert, s.key))
	}
	return options
}

// Server is an http.Server with the timeouts that one facing clients needs.
func Server(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
}

// Check ends the program where err is not nil: its flags do not make sense.
func Check(err error) {
	if err != nil {
		exit(2, err)
	}
}

// Finish prints how the drain went and ends the program: with status 0 if every
// connection ended by itself.
func Finish(ctl *core.Controller, report stdlib.Report, err error) {
	if report.Duration > 0 {
		fmt.Println(report)
		stats := ctl.Stats()
		fmt.Println(stats.Exchanges, "requests since the start; connections closed:", closes(stats))
	}
	if err != nil {
		exit(1, err)
	}
	os.Exit(0)
}

func closes(stats core.Stats) string {
	var counts []string
	for _, reason := range []core.Reason{
		core.ReasonDrain, core.ReasonHandler, core.ReasonRoute, "legacy",
		core.ReasonStatus, core.ReasonAge, core.ReasonRequests, core.ReasonLoad,
	} {
		if n := stats.Closes[reason]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d for %s", n, reason))
		}
	}
	counts = append(counts, fmt.Sprintf("%d by the client's own word", stats.ClientInitiated))
	return strings.Join(counts, ", ")
}

func list(commas string) []string {
	parts := strings.Split(commas, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func numbers(flag, commas string) []int {
	var all []int
	for _, part := range list(commas) {
		n, err := strconv.Atoi(part)
		if err != nil {
			exit(2, fmt.Errorf("%s: %q is not allowed; give whole numbers, separated by commas", flag, commas))
		}
		all = append(all, n)
	}
	return all
}

func exit(status int, err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(status)
}
