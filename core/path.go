package core

import (
	"net/url"
	"path"
	"strings"
)

// cleanPath returns the path as http.ServeMux cleans it, without the first slash.
func cleanPath(p string) string {
	if p == "" || p == "/" {
		return ""
	}
	if _, clean := firstSegment(p); clean {
		return p[1:]
	}
	cleaned := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned[1:]
}

// firstSegment returns the segment behind the first slash, and whether the path is
// as cleaning would leave it. One pass is faster than searches by package strings.
func firstSegment(p string) (segment string, clean bool) {
	if p == "" || p[0] != '/' {
		return "", false
	}
	end, afterSlash := 0, 1
	for i := 1; i < len(p); i++ {
		c := p[i]
		if c > '/' || c < '.' {
			continue
		}
		if i == afterSlash {
			return "", false
		}
		if c == '/' {
			afterSlash = i + 1
			if end == 0 {
				end = i
			}
		}
	}
	if end == 0 {
		end = len(p)
	}
	return p[1:end], true
}

func unescapeSegment(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}
