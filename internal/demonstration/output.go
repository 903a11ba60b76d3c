package demonstration

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// Printer remembers the first error of many writes. Lines have 80 columns at most.
type Printer struct {
	W   io.Writer
	Err error
}

// Printf writes nothing after an error.
func (p *Printer) Printf(format string, args ...any) {
	if p.Err == nil {
		_, p.Err = fmt.Fprintf(p.W, format, args...)
	}
}

// Progress is one line that is written again and again. The zero value shows
// nothing.
type Progress struct{ To io.Writer }

// NewProgress shows nothing unless it is wanted.
func NewProgress(to io.Writer, wanted bool) Progress {
	if !wanted {
		return Progress{}
	}
	return Progress{to}
}

const clearLine = "\r\x1b[K"

// Show replaces the line.
func (p Progress) Show(format string, args ...any) {
	if p.To != nil {
		fmt.Fprintf(p.To, clearLine+format, args...)
	}
}

// Clear makes room for other lines.
func (p Progress) Clear() { p.Show("") }

// WriteJSON is for programs.
func WriteJSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

// WriteFile creates the file, or replaces it.
func WriteFile(name string, write func(io.Writer) error) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
	}()
	return write(file)
}

// Rounded is a time for a table: seven columns at most below a quarter of an hour.
func Rounded(d time.Duration) string {
	if d >= time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return fmt.Sprintf("%.1fms", Milliseconds(d))
}

// Milliseconds is a time for JSON.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
