package open

import (
	"cmp"
	"os"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
)

// Served reports whether what Locate returned is a server's address. The owner of what
// is taken there is its token's.
func Served(place string) bool { return strings.HasPrefix(place, "https://") }

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
