package core

import (
	"testing"
	"unsafe"
)

func TestAnExchangeIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Exchange{}); size > 64 {
		t.Errorf("it takes %d bytes; more than 64 cost each request an allocation of the next size", size)
	}
}
