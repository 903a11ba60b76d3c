package restart

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/politeclose/politeclose/internal/certificate"
)

// selfSigned configures servers and clients with a certificate of their own.
func selfSigned() (server, client *tls.Config, err error) {
	made, err := certificate.SelfSigned()
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(made.Leaf)
	// The cheapest key exchange: the clients share this machine with the servers,
	// and their handshakes must not become what is measured.
	cheapest := []tls.CurveID{tls.CurveP256}
	server = &tls.Config{Certificates: []tls.Certificate{made}, CurvePreferences: cheapest}
	return server, &tls.Config{RootCAs: roots, CurvePreferences: cheapest}, nil
}
