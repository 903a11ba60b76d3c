//go:build full

package grpc

import (
	"context"
	"crypto/tls"
	"net/http"
	"path"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// framework is a server's handler, and a client that calls it over HTTP/2.
type framework struct {
	name    string
	handler func(*book) http.Handler
	dial    func(t *testing.T, address string) client
	// mayFail says that the client fails streams which it has not sent, because its
	// transport, net/http's, does not send again what has a body of unknown length
	// (go.dev/issue/62450).
	mayFail bool
}

type client struct {
	// say makes a unary call.
	say func(ctx context.Context, m *message) (*message, error)
	// open opens the stream of this name.
	open func(ctx context.Context, name string) (stream, error)
}

type stream struct {
	send    func(*message) error
	receive func() (*message, error)
	// done says that there is nothing more to send.
	done func() error
	// end frees the stream.
	end func()
}

var frameworks = []framework{
	{"grpc-go", grpcHandler, dialGRPC, false},
	{"connect-go", connectHandler, dialConnect(), true},
	{"connect-go with WithGRPC", connectHandler, dialConnect(connect.WithGRPC()), true},
}

// Nothing but loopback is asked.
var anyone = &tls.Config{InsecureSkipVerify: true}

// grpcHandler is grpc-go's server as a handler of net/http's.
func grpcHandler(b *book) http.Handler {
	description := &grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: path.Base(say),
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				m := new(message)
				if err := decode(m); err != nil {
					return nil, err
				}
				b.execute(m.GetValue())
				return m, nil
			},
		}},
	}
	for name, session := range sessions {
		stream := grpcStream(name)
		stream.Handler = func(_ any, s grpc.ServerStream) error {
			return session(s.Context(), b, func() (*message, error) { return receive(s) }, func(m *message) error { return s.SendMsg(m) })
		}
		description.Streams = append(description.Streams, stream)
	}
	server := grpc.NewServer()
	server.RegisterService(description, nil)
	return server
}

func grpcStream(name string) grpc.StreamDesc {
	return grpc.StreamDesc{StreamName: path.Base(name), ServerStreams: true, ClientStreams: true}
}

func receive(from interface{ RecvMsg(any) error }) (*message, error) {
	m := new(message)
	err := from.RecvMsg(m)
	return m, err
}

func dialGRPC(t *testing.T, address string) client {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(anyone.Clone())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return client{
		say: func(ctx context.Context, m *message) (*message, error) {
			answer := new(message)
			err := conn.Invoke(ctx, say, m, answer)
			return answer, err
		},
		open: func(ctx context.Context, name string) (stream, error) {
			ctx, cancel := context.WithCancel(ctx)
			description := grpcStream(name)
			s, err := conn.NewStream(ctx, &description, name)
			if err != nil {
				cancel()
				return stream{}, err
			}
			return stream{
				send:    func(m *message) error { return s.SendMsg(m) },
				receive: func() (*message, error) { return receive(s) },
				done:    s.CloseSend,
				end:     cancel,
			}, nil
		},
	}
}

func connectHandler(b *book) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(say, connect.NewUnaryHandler(say, func(_ context.Context, r *connect.Request[message]) (*connect.Response[message], error) {
		b.execute(r.Msg.GetValue())
		return connect.NewResponse(r.Msg), nil
	}))
	for name, session := range sessions {
		mux.Handle(name, connect.NewBidiStreamHandler(name, func(ctx context.Context, s *connect.BidiStream[message, message]) error {
			return session(ctx, b, s.Receive, s.Send)
		}))
	}
	return mux
}

func dialConnect(options ...connect.ClientOption) func(t *testing.T, address string) client {
	return func(t *testing.T, address string) client {
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: anyone.Clone()}
		t.Cleanup(transport.CloseIdleConnections)
		method := func(name string) *connect.Client[message, message] {
			return connect.NewClient[message, message](&http.Client{Transport: transport}, "https://"+address+name, options...)
		}
		unary := method(say)
		return client{
			say: func(ctx context.Context, m *message) (*message, error) {
				answer, err := unary.CallUnary(ctx, connect.NewRequest(m))
				if err != nil {
					return nil, err
				}
				return answer.Msg, nil
			},
			open: func(ctx context.Context, name string) (stream, error) {
				s := method(name).CallBidiStream(ctx)
				return stream{send: s.Send, receive: s.Receive, done: s.CloseRequest, end: func() { s.CloseResponse() }}, nil
			},
		}
	}
}
