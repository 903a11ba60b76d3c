package fleetsim

import (
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

// The size of a panel of the plot, in pixels.
const (
	panelWidth, panelHeight = 640, 180
	panelLeft, panelTop     = 60, 30
	panelStep               = panelHeight + 60
)

type panel struct {
	Title, Minutes string
	Most, Top      int
	Lines          []line
}

type line struct{ Color, Points string }

// Plot writes an SVG with a panel for each result: the connections of each
// replica over time, those that came with the scenario in another colour.
func Plot(w io.Writer, results []Result) error {
	var panels []panel
	for i, r := range results {
		panels = append(panels, newPanel(r, i*panelStep))
	}
	return plot.Execute(w, map[string]any{
		"Width": panelWidth + panelLeft + 20, "Height": len(panels)*panelStep + 10, "Panels": panels,
		"Left": panelLeft, "PanelWidth": panelWidth, "PanelHeight": panelHeight,
	})
}

func newPanel(r Result, top int) panel {
	p := panel{Title: r.Scenario + ", " + r.Placement + ": " + r.Policy, Top: top + panelTop}
	if len(r.Samples) == 0 {
		return p
	}
	end := r.Samples[len(r.Samples)-1].At
	p.Minutes = end.Round(time.Minute).String()
	replicas := 0
	for _, s := range r.Samples {
		replicas = max(replicas, len(s.Connections))
		for _, n := range s.Connections {
			p.Most = max(p.Most, n)
		}
	}
	old := len(r.Samples[0].Connections)
	for replica := range replicas {
		var points strings.Builder
		for _, s := range r.Samples {
			if replica < len(s.Connections) && s.Connections[replica] >= 0 {
				fmt.Fprintf(&points, "%.1f,%.1f ",
					panelLeft+panelWidth*float64(s.At)/float64(max(end, 1)),
					float64(p.Top)+panelHeight*(1-float64(s.Connections[replica])/float64(max(p.Most, 1))))
			}
		}
		color := "#4878a8"
		if replica >= old {
			color = "#d06030"
		}
		p.Lines = append(p.Lines, line{color, points.String()})
	}
	return p
}

var plot = template.Must(template.New("plot").Funcs(template.FuncMap{
	"add": func(a, b int) int { return a + b },
}).Parse(`<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="{{.Height}}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
{{- $left := .Left}}{{$width := .PanelWidth}}{{$height := .PanelHeight}}
{{- range .Panels}}
<text x="{{$left}}" y="{{add .Top -8}}">{{.Title}}</text>
<rect x="{{$left}}" y="{{.Top}}" width="{{$width}}" height="{{$height}}" fill="none" stroke="#999"/>
<text x="{{add $left -6}}" y="{{add .Top 10}}" text-anchor="end">{{.Most}}</text>
<text x="{{add $left -6}}" y="{{add .Top $height}}" text-anchor="end">0</text>
<text x="{{add $left $width}}" y="{{add .Top (add $height 16)}}" text-anchor="end">{{.Minutes}}</text>
{{- range .Lines}}
<polyline fill="none" stroke="{{.Color}}" stroke-opacity="0.5" points="{{.Points}}"/>
{{- end}}
{{- end}}
</svg>
`))
