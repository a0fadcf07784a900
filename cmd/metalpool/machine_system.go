package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

// systemFlags are the texts of what a machine is to run, and who may log in.
type systemFlags struct {
	image, profile, hostname, sshUser string
	sshPort                           int
	keys                              []string
	initFile, postDeploy              string
	deployTimeout                     string
}

// systemDefaults say for help what a flag is that is left out, and what the time is for.
type systemDefaults struct {
	image, profile, keys, hostname, sshUser, sshPort string
	deployTimeout                                    string
}

func (s *systemFlags) add(cmd *cobra.Command, a *app, left systemDefaults) {
	f := cmd.Flags()
	f.StringVar(&s.image, "image", "", "OS `image` to put on it (default: "+left.image+")")
	f.StringVar(&s.profile, "profile", "", "`choice` of the operator's steps, of those that the pool offers (default: "+left.profile+")")
	f.StringArrayVar(&s.keys, "key", nil, "`file` with public SSH keys that may log in; may be repeated (default: "+left.keys+")")
	f.StringVar(&s.initFile, "init-file", "", "`file` of cloud-init user data for the first boot; - is standard input")
	f.StringVar(&s.postDeploy, "post-deploy", "", "`file` of a script of your own, run as root once all else is done; - is standard input")
	f.StringVar(&s.hostname, "hostname", "", "its host `name` (default: "+left.hostname+")")
	f.StringVar(&s.sshUser, "ssh-user", "", "`user` to log in as (default: "+left.sshUser+")")
	f.IntVar(&s.sshPort, "ssh-port", 0, "`port` of SSH (default: "+left.sshPort+")")
	f.StringVar(&s.deployTimeout, "deploy-timeout", "2h", "how `long` the deploy may take"+left.deployTimeout)
	completeWith(cmd, "image", a, imageNames)
	completeWith(cmd, "profile", a, profiles.names)
}

// read has an order be as the flags say, but for its keys: without any, some have theirs.
func (s *systemFlags) read(stdin io.Reader, o *core.Order) (err error) {
	o.Image, o.Profile, o.Hostname, o.SSHUser, o.SSHPort = s.image, s.profile, s.hostname, s.sshUser, s.sshPort
	if o.DeployTimeout, err = core.ParseDuration("--deploy-timeout", s.deployTimeout); err != nil {
		return err
	}
	if s.initFile == "-" && s.postDeploy == "-" {
		return errors.New("--init-file and --post-deploy cannot both be standard input; name a file for one of them")
	}
	if o.UserData, err = readGiven(stdin, "--init-file", s.initFile); err != nil {
		return err
	}
	o.PostDeploy, err = readGiven(stdin, "--post-deploy", s.postDeploy)
	return err
}

// maxUserData is more than any machine is given; a file beyond it is the wrong file.
const maxUserData = 16 << 20

// readGiven reads the file of a flag, which is a secret as far as we know.
func readGiven(stdin io.Reader, flag, file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	source := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		defer opened.Close()
		source = opened
	}
	data, err := io.ReadAll(io.LimitReader(source, maxUserData+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	case len(data) > maxUserData:
		return nil, fmt.Errorf("%s %s: it is larger than %s, which no machine takes", flag, file, core.Bytes(maxUserData))
	case len(bytes.TrimSpace(data)) == 0:
		return nil, fmt.Errorf("%s %s: it is empty", flag, file)
	}
	return data, nil
}

// ownKeys are the files of the user's own public keys.
func ownKeys() ([]string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(home, ".ssh", "*.pub"))
}

// readKeys reads the public keys of --key, by default the user's own.
func readKeys(files []string) ([]string, error) {
	if len(files) == 0 {
		var err error
		if files, err = ownKeys(); err != nil || len(files) == 0 {
			return nil, errors.New("which SSH key may log in? there is none in ~/.ssh; make one with 'ssh-keygen -t ed25519', or give --key FILE.pub")
		}
	}
	var keys []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		if bytes.Contains(data, []byte("PRIVATE KEY")) {
			return nil, fmt.Errorf("--key %s: this is a private key, which stays with you; give its public half, %s.pub", file, file)
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "#") {
				keys = append(keys, line)
			}
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("--key: there is no key in %s", strings.Join(files, ", "))
	}
	return keys, nil
}
