// Package flagvalue has flag values for the examples: each error says in one line
// what is allowed.
package flagvalue

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Whole is a whole number from least to most.
func Whole(target *int, least, most int) flag.Value {
	return &value[int]{target, func(text string) (int, bool) {
		n, err := strconv.Atoi(text)
		return n, err == nil && n >= least && n <= most
	}, fmt.Sprintf("a whole number from %d to %d", least, most)}
}

// Duration is a duration from least to most.
func Duration(target *time.Duration, least, most time.Duration) flag.Value {
	return &value[time.Duration]{target, func(text string) (time.Duration, bool) {
		d, err := time.ParseDuration(text)
		return d, err == nil && d >= least && d <= most
	}, fmt.Sprintf("a duration from %v to %v, such as 20ms", least, most)}
}

// Share is a number from 0 to 1.
func Share(target *float64) flag.Value {
	return &value[float64]{target, func(text string) (float64, bool) {
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil && f >= 0 && f <= 1
	}, "a number from 0 to 1"}
}

// OneOf is one of these names.
func OneOf(target *string, names []string) flag.Value {
	return &value[string]{target, func(text string) (string, bool) {
		return text, slices.Contains(names, text)
	}, List(names)}
}

// List is names as a shell takes them.
func List(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = name
		if strings.ContainsAny(name, " ,") {
			quoted[i] = strconv.Quote(name)
		}
	}
	return strings.Join(quoted, ", ")
}

// File is the name of a file to write once all is measured.
func File(target *string) flag.Value {
	return &value[string]{target, func(name string) (string, bool) {
		return name, canWrite(name)
	}, "a file that can be written"}
}

// canWrite leaves the file as it is, or as it is not.
func canWrite(name string) bool {
	_, before := os.Stat(name)
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return false
	}
	file.Close()
	if errors.Is(before, fs.ErrNotExist) {
		os.Remove(name)
	}
	return true
}

// Bool is for flag.FlagSet.BoolFunc, so that the flag needs no value.
func Bool(target *bool) func(string) error {
	v := &value[bool]{target, func(text string) (bool, bool) {
		b, err := strconv.ParseBool(text)
		return b, err == nil
	}, "true or false"}
	return v.Set
}

type value[T any] struct {
	target  *T
	parse   func(string) (parsed T, ok bool)
	allowed string
}

func (v *value[T]) Set(text string) error {
	parsed, ok := v.parse(text)
	if !ok {
		return errors.New("allowed is " + v.allowed)
	}
	*v.target = parsed
	return nil
}

// String is the default that the usage shows; package flag also calls it on a
// zero value.
func (v *value[T]) String() string {
	if v.target == nil {
		return ""
	}
	return fmt.Sprint(*v.target)
}
