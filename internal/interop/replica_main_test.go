package interop

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// idHeader carries a request's name, by which both sides count it.
const idHeader = "X-Request-Id"

// replicaMain is a server as net/http's documentation has it: it calls Shutdown on
// SIGTERM. It prints the name of every request that it executes.
func replicaMain(arguments []string) (status int) {
	flags := flag.NewFlagSet("replica", flag.ExitOnError)
	address := flags.String("addr", "", "")
	certificate := flags.String("tls-cert", "", "")
	key := flags.String("tls-key", "", "")
	flags.Parse(arguments)

	listener, err := listen(*address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", execute)
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	// What is cut short is counted by its client.
	srv := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	fmt.Println("listening on", listener.Addr())
	if err := serveUntilShutdown(srv, listener, *certificate, *key); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// listen takes the socket that systemd hands over (sd_listen_fds(3)), or opens
// one.
func listen(address string) (net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) || os.Getenv("LISTEN_FDS") != "1" {
		return net.Listen("tcp", address)
	}
	socket := os.NewFile(3, "LISTEN_FDS")
	defer socket.Close()
	return net.FileListener(socket)
}

// answer is what a replica and an example answer to POST /.
const answer = "hello\n"

func execute(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return // cut off on its way: it was not executed
	}
	fmt.Println(executedPrefix + r.Header.Get(idHeader))
	io.WriteString(w, answer)
}

func serveUntilShutdown(srv *http.Server, listener net.Listener, certificate, key string) error {
	terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	served := make(chan error, 1)
	go func() {
		if certificate != "" {
			served <- srv.ServeTLS(listener, certificate, key)
		} else {
			served <- srv.Serve(listener)
		}
	}()
	select {
	case err := <-served:
		return err
	case <-terminated.Done():
	}
	limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(limited); err != nil {
		return errors.Join(err, srv.Close())
	}
	return nil
}
