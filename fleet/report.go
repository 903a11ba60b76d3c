package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// report is what a replica tells its peers, as JSON:
//
//	{"version":1,"id":"9f86d081884c7d65","connections":1250,"draining":false}
type report struct {
	Version     int    `json:"version"`
	ID          string `json:"id"`          // of the Share, by which it knows itself
	Connections *int   `json:"connections"` // as sentAway counts them; a pointer, since a report without it is none
	Draining    bool   `json:"draining"`
}

const (
	reportVersion = 1
	// mostReport is how many bytes of an answer are read.
	mostReport = 1 << 10
	// mostConnections is more than a process can have sockets.
	mostConnections = 1 << 30
)

// readReport returns the report in a peer's answer, or why there is none.
func readReport(from io.Reader) (r report, err error) {
	text, err := io.ReadAll(io.LimitReader(from, mostReport+1))
	switch {
	case err != nil:
		return report{}, err
	case len(text) > mostReport:
		return report{}, fmt.Errorf("it answered more than %d bytes", mostReport)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&r); err != nil {
		return report{}, fmt.Errorf("its answer is no report: %w", err)
	}
	err = r.check()
	return r, err
}

func (r *report) check() error {
	switch {
	case r.Version != reportVersion:
		return fmt.Errorf("its report is of version %d, and not of %d", r.Version, reportVersion)
	case r.ID == "":
		return errors.New("its report has no id")
	case r.Connections == nil:
		return errors.New("its report has no connections")
	case *r.Connections < 0 || *r.Connections > mostConnections:
		return fmt.Errorf("its report has %d connections", *r.Connections)
	}
	return nil
}
