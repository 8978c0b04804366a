package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// Site is one data centre of the configuration.
type Site struct {
	Name change.Site
	// DSN says where the database is, without the password.
	DSN DSN
	// HTTP is the host:port of the agent's HTTP.
	HTTP string
	// Bus says where the site's NATS is.
	Bus Bus
	// Data is the directory of the embedded bus and of spill files.
	Data string
	// PasswordFile holds the database password; "" when none is named.
	PasswordFile string
	// WindowMemory is that of the defaults when the site has none.
	WindowMemory int64

	passwordAt, dsnAt Problem // places, for warnings
}

// PasswordVariable is the name of the environment variable that may hold the
// database password.
func (s Site) PasswordVariable() string {
	return "CONCORD_PASSWORD_" + strings.ToUpper(string(s.Name))
}

// Password returns the database password: from the dsn, else what PasswordFile
// contains without its line end, else from the environment. It is empty when none
// of them has one, which leaves it to what the driver knows (.pgpass, PGPASSWORD,
// peer authentication). An error names the remedy and never the password.
func (s Site) Password() (string, error) {
	if s.DSN.HasPassword() {
		return s.DSN.reveal(), nil
	}
	if s.PasswordFile == "" {
		return os.Getenv(s.PasswordVariable()), nil
	}
	data, err := os.ReadFile(s.PasswordFile)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("reading password of site %s: %w: make it readable by the user the agent runs as", s.Name, err)
	case err != nil:
		return "", fmt.Errorf("reading password of site %s: %w: write the password into that file (mode 0600), or change password_file", s.Name, err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case password == "":
		return "", fmt.Errorf("reading password of site %s: %s is empty: write the password into it, or remove password_file", s.Name, s.PasswordFile)
	case strings.ContainsAny(password, "\r\n\x00"):
		return "", fmt.Errorf("reading password of site %s: %s has more than one line: leave only the password in it", s.Name, s.PasswordFile)
	}
	return password, nil
}

// PasswordSource says in a few words where Password takes the password from, for
// people.
func (s Site) PasswordSource() string {
	switch _, set := os.LookupEnv(s.PasswordVariable()); {
	case s.DSN.HasPassword():
		return "dsn"
	case s.PasswordFile != "":
		return "file " + s.PasswordFile
	case set:
		return "environment " + s.PasswordVariable()
	}
	return ".pgpass or PGPASSWORD"
}

// ConnString returns what the database driver is given, with the password in it
// when Password has one. It is a secret: it belongs in no log and no message.
func (s Site) ConnString() (string, error) {
	password, err := s.Password()
	if err != nil {
		return "", err
	}
	return s.DSN.with(password, s.DSN.query.reveal()), nil
}
