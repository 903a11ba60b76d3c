//go:build go1.27

package goaway

import "net/http"

// copyNewer copies the settings that http.Server has since Go 1.27.
func copyNewer(to, from *http.Server) {
	to.DisableClientPriority = from.DisableClientPriority
	to.MaxHeaderValueCount = from.MaxHeaderValueCount
}
