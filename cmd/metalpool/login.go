package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/open"
)

func loginCommand(a *app) *cobra.Command {
	var fingerprint, tokenFile string
	cmd := &cobra.Command{
		Use:   "login https://HOST:PORT",
		Short: "Trust a server, and keep the token for it",
		Long: `Login looks at a server's certificate, has you say whether it is the right one where
no public CA has signed it, tries the token, and keeps both in a file that only you
can read. METALPOOL_URL=https://HOST:PORT then is enough for metalpool, docker-machine
and Terraform.

The token is read from METALPOOL_TOKEN, from a file, or asked for: an argument would
show in 'ps'.`,
		Example: "  metalpool login https://pool.example:7443\n  metalpool login https://10.0.0.2:7443 --fingerprint 9f86… --token-file token",
		Args:    exactly("https://HOST:PORT"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			pin, err := a.trust(ctx, args[0], fingerprint)
			if err != nil {
				return err
			}
			token, err := a.token(ctx, tokenFile)
			if err != nil {
				return err
			}
			return a.login(ctx, args[0], client.Login{Fingerprint: pin, Token: token})
		}),
	}
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "`SHA-256` of the server's CA, as 'metalpool serve' prints it; nothing is asked then")
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "`file` with the token, - is standard input (default: METALPOOL_TOKEN, else asked for)")
	return cmd
}

// trust finds the CA to pin: what the user says, or agrees to. It is empty where the
// certificate is one that everybody trusts.
func (a *app) trust(ctx context.Context, url, expected string) (string, error) {
	if expected != "" {
		if _, err := client.Pinned(expected); err != nil {
			return "", asUsage(err)
		}
		return expected, nil
	}
	shown, err := client.Shown(ctx, url)
	if err != nil || shown == "" {
		return "", err
	}
	if !terminalInput(a.in) {
		return "", usagef("the server shows a CA of its own, %s; if that is what 'metalpool serve' has printed, give it with --fingerprint", shown)
	}
	yes, err := a.agrees(fmt.Sprintf("The server shows a CA of its own:\n  %s\n'metalpool serve' prints the same at its start. Is it this one?", shown))
	if err != nil {
		return "", err
	}
	if !yes {
		return "", fmt.Errorf("not trusted, and nothing was sent; ask the server's operator for the fingerprint")
	}
	return shown, nil
}

// token is read as passwords are.
func (a *app) token(ctx context.Context, file string) (string, error) {
	if file == "" {
		if token := os.Getenv(open.EnvToken); token != "" {
			return token, nil
		}
		if !terminalInput(a.in) {
			return "", usagef("no token; set %s, or give --token-file FILE, or - for standard input", open.EnvToken)
		}
		return a.ask(ctx, "Token")
	}
	token, _, err := (&passwordFlag{file: file, what: "token"}).given(a)
	return token, err
}

// login tries what is to be kept before it is kept.
func (a *app) login(ctx context.Context, url string, l client.Login) error {
	c, err := client.New(client.Config{URL: url, Token: l.Token, Fingerprint: l.Fingerprint})
	if err != nil {
		return err
	}
	defer c.Close()
	who, err := c.Identity(ctx)
	if err != nil {
		return err
	}
	path, err := client.Keep(url, l)
	if err != nil {
		return &core.Error{Op: "keep the login", Kind: core.Internal, Err: err, Hint: "see that your configuration's folder can be written"}
	}
	a.note("logged in to %s as %s; kept in %s", url, identity(who), path)
	return nil
}

// identity tells who a token stands for.
func identity(who api.Caller) string {
	text := who.Name + " (" + string(who.Role)
	if len(who.Pools) > 0 {
		text += ", pools " + strings.Join(who.Pools, ", ")
	}
	return text + ")"
}
