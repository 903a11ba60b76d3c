package conformance

import (
	"fmt"
	"net/http"
)

// connectionCells are handlers that write the Connection field themselves. One
// that names the close option in any spelling gets a real close; net/http alone
// would tell the client so and keep the connection.
func connectionCells() []cell {
	var cells []cell
	for _, values := range [][]string{
		{"close"}, {"Close"}, {"CLOSE"}, {"close, X-Hop"}, {"X-Hop,close"},
		{"keep-alive", "close"}, {"close", "close"}, {"close", "keep-alive"},
	} {
		c := get(fmt.Sprintf("Connection: %q", values), withConnection(values))
		c.asks = true
		cells = append(cells, c)
	}
	for _, values := range [][]string{{"keep-alive"}, {"Keep-Alive, X-Hop"}, {"X-Hop", "X-Other"}, {"closed"}, {""}} {
		cells = append(cells, get(fmt.Sprintf("Connection: %q", values), withConnection(values)))
	}
	return cells
}

func withConnection(values []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Connection"] = values
		write(w, r)
	}
}
