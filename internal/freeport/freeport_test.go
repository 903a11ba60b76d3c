package freeport

import "testing"

func TestNoAddressIsGivenTwice(t *testing.T) {
	given := map[string]bool{}
	for range 200 {
		address, err := Address("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if given[address] {
			t.Fatalf("%s was given before", address)
		}
		given[address] = true
	}
}
