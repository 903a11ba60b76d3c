package echov5adapter_test

import (
	"testing"

	"github.com/politeclose/politeclose/internal/conformance"
)

func BenchmarkExchange(b *testing.B) { conformance.Benchmark(b, framework) }
