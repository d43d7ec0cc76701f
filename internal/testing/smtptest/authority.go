package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// authority is a certification authority and the certificate that it has issued.
type authority struct {
	roots   *x509.CertPool
	rootPEM []byte
	server  tls.Certificate
}

// newAuthority makes an authority and a certificate of that kind.
func newAuthority(kind Certificate) (*authority, error) {
	root, rootKey, err := newRoot()
	if err != nil {
		return nil, err
	}
	signer, signerKey := root, rootKey
	if kind == UnknownAuthority {
		if signer, signerKey, err = newRoot(); err != nil {
			return nil, err
		}
	}

	now := time.Now()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "smtptest"},
		NotBefore:    now.AddDate(0, 0, -2),
		NotAfter:     now.AddDate(0, 0, 1),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	switch kind {
	case WrongName:
		leaf.DNSNames, leaf.IPAddresses = []string{Words + ".example"}, nil
	case Expired:
		leaf.NotAfter = now.AddDate(0, 0, -1)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, signer, key.Public(), signerKey)
	if err != nil {
		return nil, err
	}
	a := &authority{
		roots:   x509.NewCertPool(),
		rootPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}),
		server:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
	a.roots.AddCert(root)
	return a, nil
}

func newRoot() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "smtptest authority"},
		NotBefore:             now.AddDate(0, 0, -3),
		NotAfter:              now.AddDate(0, 0, 3),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	root, err := x509.ParseCertificate(der)
	return root, key, err
}
