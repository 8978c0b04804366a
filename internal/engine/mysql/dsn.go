package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// address is a data source name taken apart.
type address struct {
	network  string // tcp or unix
	host     string // host:port, or the path of a socket
	user     string
	password string
	database string // the default; may be empty
	tls      *tls.Config
	product  flavor // as the dsn says; other sites go by it
}

// parseDSN reads mysql://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS, or the same with
// mariadb://. Parameters: socket=PATH instead of host and port; tls=disabled (the
// default), required (encrypted, whoever answers), verify-ca or verify-identity;
// tls-ca, tls-cert and tls-key name PEM files. The error does not have the password.
func parseDSN(dsn string) (address, error) {
	refuse := func(why string) (address, error) {
		return address{}, fmt.Errorf("reading the dsn: %w: %s", change.ErrRefused, why)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL
		}
		return refuse("not a URL of the form mysql://USER:PASSWORD@HOST:PORT/DATABASE: " + err.Error())
	}
	if u.Scheme != "mysql" && u.Scheme != "mariadb" {
		return refuse(fmt.Sprintf("it begins with %q, not with mysql:// or mariadb://", u.Scheme))
	}
	a := address{network: "tcp", product: flavor(u.Scheme), database: strings.TrimPrefix(u.Path, "/")}
	if u.User != nil {
		a.user = u.User.Username()
		a.password, _ = u.User.Password()
	}
	name, port := u.Hostname(), u.Port()
	if name == "" {
		name = "localhost"
	}
	if port == "" {
		port = "3306"
	}
	a.host = net.JoinHostPort(name, port)
	q := u.Query()
	for key := range q {
		switch key {
		case "socket", "tls", "tls-ca", "tls-cert", "tls-key":
		default:
			return refuse(fmt.Sprintf("there is no parameter %q; there are socket, tls, tls-ca, tls-cert and tls-key", key))
		}
	}
	if socket := q.Get("socket"); socket != "" {
		a.network, a.host = "unix", socket
	}
	if a.tls, err = tlsConfig(q, name); err != nil {
		return refuse(err.Error())
	}
	return a, nil
}

// tlsConfig makes the configuration that the parameters ask for; nil without TLS.
func tlsConfig(q url.Values, server string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: server}
	mode := q.Get("tls")
	switch mode {
	case "", "disabled", "false":
		return nil, nil
	case "required", "skip-verify":
		c.InsecureSkipVerify = true
	case "verify-ca":
		c.InsecureSkipVerify = true // but for the chain, below
	case "verify-identity", "true":
	default:
		return nil, fmt.Errorf("tls=%s is none of disabled, required, verify-ca, verify-identity", mode)
	}
	if file := q.Get("tls-ca"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading tls-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading tls-ca: %s has no certificate", file)
		}
	}
	if mode == "verify-ca" {
		roots := c.RootCAs
		c.VerifyConnection = func(s tls.ConnectionState) error {
			between := x509.NewCertPool()
			for _, cert := range s.PeerCertificates[1:] {
				between.AddCert(cert)
			}
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
			return err
		}
	}
	if cert, key := q.Get("tls-cert"), q.Get("tls-key"); cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("reading tls-cert and tls-key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
