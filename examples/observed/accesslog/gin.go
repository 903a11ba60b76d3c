package accesslog

import (
	"fmt"
	"io"

	"github.com/gin-gonic/gin"

	"github.com/politeclose/politeclose/core"
)

// Gin logs with gin's own logger, one line of text for each request.
func Gin(out io.Writer) gin.HandlerFunc {
	return gin.LoggerWithConfig(gin.LoggerConfig{Output: out, Formatter: func(p gin.LogFormatterParams) string {
		closes := "-"
		if reason, announced := core.Announced(p.Request.Context()); announced {
			closes = string(reason)
		}
		return fmt.Sprintf("method=%s path=%q status=%d took=%v connection=%d closes=%s\n",
			p.Method, p.Path, p.StatusCode, p.Latency, core.ConnectionID(p.Request.Context()), closes)
	}})
}
