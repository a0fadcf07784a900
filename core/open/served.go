package open

import (
	"cmp"
	"context"
	"os"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
)

// Served reports whether what Locate returned is a server's address.
func Served(place string) bool { return strings.HasPrefix(place, "https://") }

// Owner is whose all is that is taken through a service: behind a server the token
// tells, else it is as its caller says.
func Owner(ctx context.Context, s core.Service, said string) (string, error) {
	if server, ok := s.(*client.Client); ok {
		who, err := server.Identity(ctx)
		return who.Name, err
	}
	return said, nil
}

// served opens a pool behind a server, by what is told here, else in the environment,
// else by the login.
func served(address string, o Options) (core.Operator, error) {
	login, err := client.Known(address)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{
		URL:         address,
		Token:       cmp.Or(o.Token, os.Getenv(EnvToken), login.Token),
		Fingerprint: cmp.Or(os.Getenv(EnvFingerprint), login.Fingerprint),
	})
}
