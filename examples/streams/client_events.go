package main

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
)

// eventsClient reads server-sent events, across as many connections as it takes.
type eventsClient struct {
	*traffic
	*tally
	name   string
	client http.Client
	last   int // the id of the last event seen
}

// followEvents reads until the last event, or until patience ends.
func (t *traffic) followEvents(name string, tally *tally) {
	c := &eventsClient{traffic: t, tally: tally, name: name, client: http.Client{Transport: new(http.Transport)}}
	defer c.client.CloseIdleConnections()
	for !c.done() {
		if t.ctx.Err() != nil {
			final, _ := t.stopped()
			tally.lost(final - c.last)
			return
		}
		c.stream()
	}
}

func (c *eventsClient) done() bool {
	final, stopped := c.stopped()
	return stopped && c.last >= final
}

// stream opens the stream behind the last event seen, and reads it to its end.
func (c *eventsClient) stream() {
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, "http://"+c.base+"/events?client="+c.name, nil)
	if err != nil {
		panic(err) // the URL is our own
	}
	request.Header.Set("Last-Event-ID", strconv.Itoa(c.last))
	response, err := c.client.Do(request)
	if err != nil {
		c.pause()
		return
	}
	defer response.Body.Close()
	c.opened()

	told, id := false, 0
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			id, _ = strconv.Atoi(value)
		case "event":
			told = value == leavingWord
		case "": // the end of an event; what has no id is none of the feed's
			if id > 0 {
				c.see(id)
				id = 0
			}
			if c.done() {
				return
			}
		}
	}
	c.ended(told)
}

func (c *eventsClient) see(id int) {
	if id <= c.last {
		c.doubled()
		return
	}
	c.lost(id - c.last - 1)
	c.message()
	c.last = id
}
