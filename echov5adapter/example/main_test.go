package main

import (
	"testing"

	"github.com/politeclose/politeclose/internal/exampleapp/exampletest"
)

func TestExample(t *testing.T) { exampletest.Run(t, routes) }
