package statuspage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"strconv"
	"time"

	"github.com/politeclose/politeclose/core"
)

//go:embed page.css
var styleText string

//go:embed page.js
var scriptText string

//go:embed page.html
var pageText string

// What is in the page as it is, and known to its policy by its hash.
var (
	style  = template.CSS(styleText)
	script = template.JS(scriptText)
)

// policy lets the page use its own style and script, and fetch itself. Nothing else
// may be loaded, and nobody may frame it. The empty icon, for which no browser asks
// the server then, is a data URL.
var policy = "default-src 'none'; style-src " + hash(styleText) + "; script-src " + hash(scriptText) +
	"; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"add":     func(a, b int) int { return a + b },
	"clock":   func(t time.Time) string { return t.UTC().Format(time.TimeOnly) },
	"number":  func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) },
	"percent": func(v float64) string { return strconv.FormatFloat(v*100, 'f', 0, 64) + " %" },
	"top":     top,
	"short":   short,
	"seconds": func(d time.Duration) time.Duration { return d.Round(time.Second) },
}).Parse(pageText))

// pageData is a view with what only the page needs.
type pageData struct {
	view
	Controls bool
	Style    template.CSS
	Script   template.JS
}

// Rules and Chart are asked by the template.
func (d pageData) Rules() []rule { return d.rules() }

// Chart is drawn of the same rules.
func (d pageData) Chart() chart { return d.draw(d.rules()) }

// Left is how long the servers still wait; 0 where that is over or not known.
func (d pageData) Left() time.Duration {
	if d.Stats.Drain.Until.IsZero() {
		return 0
	}
	return max(d.Stats.Drain.Until.Sub(d.Time), 0).Round(time.Second)
}

// Over reports whether the drain has come to its end.
func (d pageData) Over() bool { return d.Stats.Drain.Phase == core.PhaseDrained }

// top is the end of a signal's scale.
func top(s core.SignalStat) float64 { return max(s.Hard*1.25, s.Value) }

// short cuts a text of a client's making.
func short(s string) string {
	const most = 120
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:most]) + "…"
}
