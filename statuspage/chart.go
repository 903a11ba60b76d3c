package statuspage

import (
	"fmt"
	"time"
)

// colors is how many the style has.
const colors = 12

// The chart's measures, in its own units.
const (
	chartWidth  = 600
	chartHeight = 120
	barGap      = 2
)

// chart is the closes of each interval, stacked by reason.
type chart struct {
	Width, Height int
	Most          uint64 // closes in one interval: the height of the chart
	Total         uint64
	Bars          []bar
}

// bar is a part of an interval's stack.
type bar struct {
	X, Y, Width, Height float64
	Color               int
	Title               string
}

// draw leaves out what is 0, so that a chart without closes is empty.
func (v view) draw(rules []rule) chart {
	c := chart{Width: chartWidth, Height: chartHeight}
	for _, interval := range v.Recent {
		sum := uint64(0)
		for _, n := range interval.Closes {
			sum += n
		}
		c.Most = max(c.Most, sum)
		c.Total += sum
	}
	if c.Most == 0 {
		return c
	}
	width := chartWidth / float64(len(v.Recent))
	for n, interval := range v.Recent {
		top := float64(chartHeight)
		for _, rule := range rules {
			closes := interval.Closes[rule.Reason]
			if closes == 0 {
				continue
			}
			height := float64(closes) / float64(c.Most) * chartHeight
			top -= height
			c.Bars = append(c.Bars, bar{
				X: float64(n) * width, Y: top, Width: width - barGap, Height: height, Color: rule.Color,
				Title: fmt.Sprintf("%s: %d for %s", interval.Start.UTC().Format(time.TimeOnly), closes, rule.Reason),
			})
		}
	}
	return c
}
