package core

import "testing"

func TestASnapshotAllocatesNothingPerConnection(t *testing.T) {
	allocations := func(connections int) float64 {
		c := newController(t, OnRoutes("/login"), OnStatus(500))
		for range connections {
			openConnection(c)
		}
		return testing.AllocsPerRun(100, func() { c.Stats() })
	}
	if few, many := allocations(1), allocations(10_000); many > few {
		t.Errorf("%v allocations with 10,000 connections, %v with one", many, few)
	}
}
