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

// As another process would, which begins at the same one by chance.
func TestABlockThatIsTakenIsNotTakenAgain(t *testing.T) {
	first, one := take(0)
	second, two := take(0)
	if one == nil || two == nil {
		t.Fatal("other processes have all of the blocks")
	}
	defer one.Close()
	defer two.Close()
	if first == second {
		t.Errorf("the block at port %d was taken twice", first)
	}
}
