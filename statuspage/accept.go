package statuspage

import (
	"net/http"
	"strconv"
	"strings"
)

// prefersJSON reports whether a client would rather have JSON than the page (RFC
// 9110 §12.5.1). Who has no preference gets the page.
func prefersJSON(h http.Header) bool {
	accept := strings.Join(h["Accept"], ",")
	return quality(accept, "application/json") > quality(accept, "text/html")
}

// quality returns the weight of a media type: that of the most specific range that
// it is in, 0 where it is in none.
func quality(accept, mediaType string) (weight float64) {
	wholeType, _, _ := strings.Cut(mediaType, "/")
	specific := 0
	for part := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		rank := 0
		switch strings.ToLower(strings.TrimSpace(name)) {
		case mediaType:
			rank = 3
		case wholeType + "/*":
			rank = 2
		case "*/*":
			rank = 1
		}
		if rank > specific {
			specific, weight = rank, weightOf(parameters)
		}
	}
	return weight
}

func weightOf(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "q") {
			weight, _ := strconv.ParseFloat(value, 64)
			return weight
		}
	}
	return 1
}
