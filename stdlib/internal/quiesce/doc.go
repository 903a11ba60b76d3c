// Package quiesce closes a listening socket without losing anybody who is about to
// connect.
//
// A client is connected as soon as it has the server's SYN-ACK, and may send its
// request at once. What it needs for that on the server is a handshake under way,
// and then a place in the accept queue of the listening socket. Closing the socket
// destroys both, and the client gets a reset for a request that may have been
// executed for all it knows.
//
// [Listener.Empty] prepares a socket for its end in this order, while the server goes on accepting:
//
//  1. Steer, where a successor listens on the same address ([ListenBeside]): the
//     kernel gives new connections to the other socket of the two.
//  2. Quiesce: SYNs are dropped from now on, and their clients send them again, a
//     second later, to whoever listens then. Handshakes under way go on.
//  3. Accept until the handshakes that had begun are over and the queue is empty,
//     which the kernel tells over NETLINK_SOCK_DIAG.
//  4. Now the socket can be closed. Nobody is left on it.
//
// # How SYNs are dropped
//
// With the minimal TTL of the Generalized TTL Security Mechanism (RFC 5082),
// IP_MINTTL and IPV6_MINHOPCOUNT: the kernel drops packets that have passed more
// routers than the option allows. At 255 it drops everybody who does not start with
// a TTL of 255, which no system does for TCP that has HTTP clients: Linux, the BSDs
// and macOS start with 64, Windows with 128. It looks at the option after it has
// looked for a handshake under way, so that those go on, and it needs no privilege.
// A socket filter (SO_ATTACH_FILTER) would do as well, but needs CAP_NET_ADMIN on
// current kernels.
//
// Accepted sockets inherit the option. [Listener.Accept] takes it off at once; what
// came before that is dropped, and the client sends it again some 200 ms later.
//
// # Where it is imperfect
//
//   - A handshake that takes longer than a second, most of them from addresses that
//     do not exist, is not waited for.
//   - With SYN cookies, which the kernel sends when more than net.core.somaxconn
//     handshakes are under way, there is no handshake to go on with: these clients
//     are reset as they would be without this package.
//   - Multipath TCP's sockets refuse the option, as do systems other than Linux and
//     some sandboxes (gVisor). Empty then waits until nobody has come for a moment, and
//     returns the reason.
package quiesce
