package pattern

import (
	"net/url"
	"path"
	"strings"
)

// cleanPath returns the path as http.ServeMux cleans it, without the first
// slash.
func cleanPath(p string) string {
	if p == "" || p == "/" {
		return ""
	}
	if isClean(p) {
		return p[1:]
	}
	cleaned := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned[1:]
}

// isClean reports whether cleaning would leave the path as it is. It takes a
// segment that begins with a dot for one that would not.
func isClean(p string) bool {
	return strings.HasPrefix(p, "/") && !strings.Contains(p, "//") && !strings.Contains(p, "/.")
}

// firstSegment returns the segment with which the cleaned path begins, if that
// can be told without cleaning it.
func firstSegment(p string) (segment string, ok bool) {
	if len(p) < 2 || p[0] != '/' || p[1] == '/' || p[1] == '.' {
		return "", false
	}
	if dot := strings.IndexByte(p, '.'); dot > 0 && strings.Contains(p[dot-1:], "/..") {
		return "", false // may take the first segment away
	}
	end := 2
	for end < len(p) && p[end] != '/' {
		end++
	}
	return p[1:end], true
}

func unescapeSegment(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}
