package main

import (
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/politeclose/politeclose/internal/restart"
)

// The sizes of the plot, in pixels.
const (
	plotWidth          = 760
	plotLeft, plotSpan = 130, 480 // of the time axis
	plotTop, rowHeight = 56, 64
	barHeight          = 40 // of the most that any bar shows
	bars               = plotSpan / 6
)

// row is one way of stopping: a bar for each slice of the time after the order to
// stop in which it lost something.
type row struct {
	Name, Lost string
	Base       int // the y of the row's line
	DrainWidth float64
	Bars       []bar
}

type bar struct{ X, Y, Height float64 }

type tick struct {
	X    float64
	Text string
}

// plot writes an SVG of what each way of stopping loses, and when.
func plot(w io.Writer, traffic restart.Config, results []restart.Result) error {
	end := time.Millisecond
	for _, r := range results {
		end = max(end, r.DrainMedian())
		for _, after := range r.LostAfter {
			end = max(end, after)
		}
	}
	step := tickStep(end)
	end = (end + step - 1) / step * step
	x := func(d time.Duration) float64 { return plotSpan * float64(d) / float64(end) }

	most, perBar := 0.0, make([][bars]float64, len(results))
	for i, r := range results {
		for _, after := range r.LostAfter {
			slice := min(int(x(after)*bars/plotSpan), bars-1)
			perBar[i][slice]++
			most = max(most, perBar[i][slice]/float64(r.Restarts))
		}
	}
	var rows []row
	for i, r := range results {
		line := row{
			Name: r.Method, Lost: fmt.Sprintf("%.1f lost", r.LostPerRestart()),
			Base: plotTop + (i+1)*rowHeight, DrainWidth: max(x(r.DrainMedian()), 2),
		}
		for slice, lost := range perBar[i] {
			if lost > 0 {
				height := max(barHeight*lost/float64(r.Restarts)/most, 1.5)
				line.Bars = append(line.Bars, bar{plotLeft + float64(slice)*plotSpan/bars, float64(line.Base) - height - 3, height})
			}
		}
		rows = append(rows, line)
	}
	var ticks []tick
	for at := time.Duration(0); at <= end; at += step {
		ticks = append(ticks, tick{plotLeft + x(at), fmt.Sprint(at)})
	}
	bottom := plotTop + len(rows)*rowHeight
	return plotTemplate.Execute(w, map[string]any{
		"Width": plotWidth, "Height": bottom + 48, "Left": plotLeft, "Right": plotLeft + plotSpan + 14,
		"BarWidth": plotSpan/bars - 1, "Top": plotTop, "Bottom": bottom + 8, "Axis": bottom + 26, "Caption": bottom + 44,
		"Rows": rows, "Ticks": ticks, "Clients": traffic.Clients,
	})
}

// tickStep is the least step of 1, 2 or 5 times a power of ten milliseconds that
// leaves six ticks at most.
func tickStep(end time.Duration) time.Duration {
	for unit := time.Millisecond; ; unit *= 10 {
		for _, factor := range []time.Duration{1, 2, 5} {
			if step := factor * unit; end <= 6*step {
				return step
			}
		}
	}
}

// The colours are readable on light and on dark.
var plotTemplate = template.Must(template.New("plot").Parse(
	`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.Width}} {{.Height}}" width="{{.Width}}" height="{{.Height}}" ` +
		`font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="Requests lost by each way to stop a server, over time">
<style>
text { fill: #59636e } .name { fill: #1f2328; font-weight: 600 } .lost { fill: #cf222e } .drain { fill: #0969da } .grid { stroke: #8c959f55 }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 } .name { fill: #f0f6fc } .lost { fill: #ff7b72 } .drain { fill: #58a6ff }
}
</style>
<rect class="lost" x="{{.Left}}" y="13" width="12" height="12"/><text x="{{.Left}}" dx="18" y="24">requests lost</text>
<rect class="drain" x="{{.Left}}" y="36" width="12" height="4"/><text x="{{.Left}}" dx="18" y="43">until the server says that it is empty, median</text>
{{- $left := .Left}}{{$right := .Right}}{{$width := .BarWidth}}{{$bottom := .Bottom}}{{$top := .Top}}{{$axis := .Axis}}
{{- range .Ticks}}
<line class="grid" x1="{{.X}}" y1="{{$top}}" x2="{{.X}}" y2="{{$bottom}}"/><text x="{{.X}}" y="{{$axis}}" text-anchor="middle">{{.Text}}</text>
{{- end}}
{{- range .Rows}}
<text class="name" x="{{$left}}" dx="-12" y="{{.Base}}" text-anchor="end">{{.Name}}</text>
<text x="{{$right}}" y="{{.Base}}">{{.Lost}}</text>
<rect class="drain" x="{{$left}}" y="{{.Base}}" width="{{printf "%.1f" .DrainWidth}}" height="4"/>
{{- range .Bars}}
<rect class="lost" x="{{printf "%.1f" .X}}" y="{{printf "%.1f" .Y}}" width="{{$width}}" height="{{printf "%.1f" .Height}}"/>
{{- end}}
{{- end}}
<text x="{{.Left}}" y="{{.Caption}}">time since the server was told to stop, {{.Clients}} clients; lost per restart on the right</text>
</svg>
`))
