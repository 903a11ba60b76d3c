package conformance

import (
	"io"
	"net/http"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
)

// upgradeCells take the connection over. Such a response is not announced.
func upgradeCells() []cell {
	byHand := get("Hijack and 101 by hand", echoByHand).silently()
	byHand.request = upgradeTo("echo")
	byHand.request.then = []byte("hello")

	coderCell := get("a WebSocket with coder", echoWithCoder).silently()
	gorillaCell := get("a WebSocket with gorilla", echoWithGorilla).silently()
	for _, c := range []*cell{&coderCell, &gorillaCell} {
		c.request = upgradeTo("websocket").
			with("Sec-WebSocket-Version", "13").
			with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		c.request.then = maskedText("hello")
	}
	return []cell{
		get("Hijack without HTTP", hijackRaw).silently(),
		byHand, coderCell, gorillaCell,
	}
}

func upgradeTo(protocol string) request {
	return request{header: []field{{"Connection", "Upgrade"}, {"Upgrade", protocol}}}
}

// hijackRaw answers with something that is not HTTP.
func hijackRaw(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	defer conn.Close()
	conn.Write([]byte("taken over\n"))
}

// echoByHand switches to a protocol that sends five bytes back.
func echoByHand(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	defer conn.Close()
	conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"))
	io.CopyN(conn, buffered, 5)
}

func echoWithCoder(w http.ResponseWriter, r *http.Request) {
	conn, err := coder.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	kind, message, err := conn.Read(r.Context())
	if err != nil {
		return
	}
	conn.Write(r.Context(), kind, message)
}

func echoWithGorilla(w http.ResponseWriter, r *http.Request) {
	var upgrader gorilla.Upgrader
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer conn.Close()
	kind, message, err := conn.ReadMessage()
	if err != nil {
		return
	}
	conn.WriteMessage(kind, message)
}

// maskedText is a client's WebSocket text frame (RFC 6455 §5.2) of fewer than
// 126 bytes, with a mask of zeros.
func maskedText(s string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(s)), 0, 0, 0, 0}, s...)
}
