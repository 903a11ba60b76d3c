package conformance

import (
	"io"
	"net/http"
)

// upgradeCells take the connection over. Such a response is not announced.
func upgradeCells() []cell {
	byHand := get("Hijack and 101 by hand", echoByHand).silently()
	byHand.request = upgradeTo("echo")
	byHand.request.then = []byte("hello")

	return []cell{get("Hijack without HTTP", hijackRaw).silently(), byHand}
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
