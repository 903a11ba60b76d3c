package fleet

import (
	"net/netip"
	"slices"
	"testing"
)

func TestDNSNamesEachReplicaOnce(t *testing.T) {
	for _, test := range []struct {
		name            string
		addresses, want []string
	}{
		{"IPv4", []string{"10.0.0.1", "10.0.0.2"}, []string{"10.0.0.1:80", "10.0.0.2:80"}},
		{"IPv6", []string{"fd00::1"}, []string{"[fd00::1]:80"}},
		{"both", []string{"fd00::1", "10.0.0.1"}, []string{"10.0.0.1:80"}},
		{"IPv4 as IPv6", []string{"::ffff:10.0.0.1"}, []string{"10.0.0.1:80"}},
		{"none", nil, nil},
	} {
		var addresses []netip.Addr
		for _, a := range test.addresses {
			addresses = append(addresses, netip.MustParseAddr(a))
		}
		if got := ofOneFamily(addresses, "80"); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestDNSLooksTheNameUp(t *testing.T) {
	peers, err := DNS("localhost", "8080")(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(peers) == 0 || peers[0] != "127.0.0.1:8080" && peers[0] != "[::1]:8080" {
		t.Errorf("localhost is %v", peers)
	}
	for _, empty := range [][2]string{{"", "8080"}, {"localhost", ""}} {
		if _, err := DNS(empty[0], empty[1])(t.Context()); err == nil {
			t.Errorf("DNS(%q, %q) gives no error", empty[0], empty[1])
		}
	}
}
