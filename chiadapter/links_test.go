package chiadapter_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestAProgramLinksNothingButChiAndUs(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.Module.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	slices.Sort(linked)
	linked = slices.Compact(linked)
	want := []string{
		"github.com/go-chi/chi/v5",
		"github.com/politeclose/politeclose",
	}
	if !slices.Equal(linked, want) {
		t.Errorf("links %v, want %v", linked, want)
	}
}
