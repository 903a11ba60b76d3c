package core

import "net"

// protocol is the version of HTTP that a connection speaks, as its first request
// has it.
type protocol uint32

const (
	protocolUnknown protocol = iota
	protocolHTTP10
	protocolHTTP11
	protocolHTTP2
	protocolHTTP3
)

// protocolNames are the values of OpenTelemetry's network.protocol.version.
var protocolNames = [...]string{"unknown", "1.0", "1.1", "2", "3"}

func (p protocol) String() string { return protocolNames[p] }

func protocolOf(major, minor int) protocol {
	switch {
	case major == 1 && minor == 0:
		return protocolHTTP10
	case major == 1:
		return protocolHTTP11
	case major == 2:
		return protocolHTTP2
	case major == 3:
		return protocolHTTP3
	}
	return protocolUnknown
}

// speak notes the protocol, once, and counts the connection under it.
func (c *Connection) speak(p protocol) {
	if c.protocol() == protocolUnknown && p != protocolUnknown {
		c.set(uint32(p) << protocolShift)
		c.ctl.opened[p].Add(1)
	}
}

func (c *Connection) protocol() protocol {
	return protocol(c.bits.Load() >> protocolShift & protocolMask)
}

// remote returns the client's address, nil where it is not known.
func (c *Connection) remote() net.Addr {
	if c.conn == nil {
		return nil
	}
	return c.conn.RemoteAddr()
}
