package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/politeclose/politeclose/stdlib"
)

// settings are the flags.
type settings struct {
	router                            string
	addr                              string
	lameDuck, drainTimeout, idleGrace time.Duration
	cert, key                         string
}

// parse reads the flags of the command line.
func parse() *settings {
	s := new(settings)
	flag.StringVar(&s.router, "router", "net/http", "what routes requests: net/http, chi, gin or echo")
	flag.StringVar(&s.addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	flag.StringVar(&s.cert, "tls-cert", "", "serve TLS with this certificate `file`")
	flag.StringVar(&s.key, "tls-key", "", "and this key `file`")
	flag.DurationVar(&s.lameDuck, "lame-duck", 0, "keep the listener open for so long after a drain has begun")
	flag.DurationVar(&s.drainTimeout, "drain-timeout", 25*time.Second, "bound of the whole drain")
	flag.DurationVar(&s.idleGrace, "idle-grace", 5*time.Second, "close connections without a request for so long, once the listener is closed")
	flag.Parse()
	if flag.NArg() > 0 {
		exit(2, fmt.Errorf("unexpected argument %q; this program has flags only, see -help", flag.Arg(0)))
	}
	return s
}

// listen listens and returns the options of Serve.
func (s *settings) listen() []stdlib.ServeOption {
	listener, err := s.listener()
	if err != nil {
		exit(1, err)
	}
	options := []stdlib.ServeOption{
		stdlib.On(listener),
		stdlib.Signals(),
		stdlib.LameDuck(s.lameDuck),
		stdlib.DrainTimeout(s.drainTimeout),
		stdlib.IdleGrace(s.idleGrace),
		stdlib.OnListening(func(a net.Addr) { fmt.Println("listening on", a) }),
	}
	if s.cert != "" || s.key != "" {
		options = append(options, stdlib.TLS(s.cert, s.key))
	}
	return options
}

// listener takes over the listening socket that a supervisor kept open for the
// program (sd_listen_fds(3)), so that nobody is refused during a restart, or opens
// one.
func (s *settings) listener() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) && os.Getenv("LISTEN_FDS") == "1" {
		socket := os.NewFile(3, "LISTEN_FDS")
		defer socket.Close() // a net.FileListener has a copy
		return net.FileListener(socket)
	}
	return net.Listen("tcp", s.addr)
}
