package clienttest

import (
	"crypto/tls"
	"sync"

	"github.com/politeclose/politeclose/internal/certificate"
)

// Certificate returns the certificate of all servers under test.
var Certificate = sync.OnceValue(func() tls.Certificate {
	made, err := certificate.SelfSigned()
	if err != nil {
		panic(err)
	}
	return made
})
