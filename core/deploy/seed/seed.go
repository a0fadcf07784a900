// Package seed makes the file system that a new machine's cloud-init reads, and
// reads it as cloud-init does (data source NoCloud).
//
// What metalpool wants of the machine is vendor data: the user's own user data
// stays as it was given, whatever its format, and goes before ours where the two
// disagree. Somebody who sets other ssh_keys in it, or switches vendor data off,
// gets a machine that shows other host keys, and so a deploy that fails.
package seed

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/iso9660"
)

const (
	// Label is the file system's, by which cloud-init finds it.
	Label = "cidata"
	// MaxUserData is the most user data that is taken. It is kept sealed in the store
	// and travels in one message; larger things belong behind a URL.
	MaxUserData = 1 * core.MiB
	// MaxKeys is how many public keys are taken.
	MaxKeys = 1000
)

// The files, by the names that cloud-init wants.
const (
	metaFile    = "meta-data"
	userFile    = "user-data"
	vendorFile  = "vendor-data"
	networkFile = "network-config"
)

const noUserData = "#cloud-config\n{}\n"

// Meta is what meta-data says.
type Meta struct {
	InstanceID string   `yaml:"instance-id"`
	Hostname   string   `yaml:"local-hostname"`
	Keys       []string `yaml:"public-keys,omitempty"`
}

// Vendor is what vendor-data says.
type Vendor struct {
	DeleteHostKeys bool `yaml:"ssh_deletekeys"` // those that came with the image
	// HostKeys has for each type, such as ed25519, a TYPE_private and a TYPE_public.
	HostKeys    map[string]string `yaml:"ssh_keys"`
	Passwords   bool              `yaml:"ssh_pwauth"`
	DisableRoot bool              `yaml:"disable_root"`
	User        User              `yaml:"user"`
	Growpart    Growpart          `yaml:"growpart"`
	ResizeRoot  bool              `yaml:"resize_rootfs"`
}

// User is the login user. It is given as "user", not among "users": that list
// would be replaced by one in the user data, and nobody could log in. Shell and
// groups are left to the distribution, which knows what it has.
type User struct {
	Name         string   `yaml:"name"`
	Sudo         string   `yaml:"sudo,omitempty"`
	LockPassword bool     `yaml:"lock_passwd"`
	Keys         []string `yaml:"ssh_authorized_keys,omitempty"`
}

// Growpart lets the root partition grow up to the seed's.
type Growpart struct {
	Mode    string   `yaml:"mode"`
	Devices []string `yaml:"devices"`
}

// Render makes the file system's bytes: the same seed gives the same bytes. What
// is wrong with the seed is an Invalid error that shows no secret.
func Render(s core.Seed) ([]byte, error) {
	files, err := render(s)
	if err != nil {
		return nil, &core.Error{Op: "make seed", Kind: core.Invalid, Err: err}
	}
	v := iso9660.Volume{ID: Label}
	for name, data := range files {
		v.Files = append(v.Files, iso9660.File{Name: name, Size: int64(len(data)), Data: bytes.NewReader(data)})
	}
	var b bytes.Buffer
	layout, err := iso9660.Plan(v)
	if err == nil {
		b.Grow(int(layout.Size()))
		err = layout.Write(&b)
	}
	if err != nil {
		return nil, &core.Error{Op: "make seed", Kind: core.Internal, Err: err}
	}
	return b.Bytes(), nil
}

func render(s core.Seed) (map[string][]byte, error) {
	if s.InstanceID == "" {
		return nil, errors.New("no instance ID")
	}
	if err := checkHostname(s.Hostname); err != nil {
		return nil, err
	}
	if err := checkUser(s.User); err != nil {
		return nil, err
	}
	if n := core.Bytes(len(s.UserData)); n > MaxUserData {
		return nil, fmt.Errorf("%d bytes of user data, and the most is %s; put the rest where #include can fetch it", int64(n), MaxUserData)
	}
	keys, err := publicKeys(s.Keys)
	if err != nil {
		return nil, err
	}
	hostKeys, err := hostKeys(s.HostKeys)
	if err != nil {
		return nil, err
	}

	meta, err := yaml.Marshal(Meta{InstanceID: s.InstanceID, Hostname: s.Hostname, Keys: keys})
	if err != nil {
		return nil, err
	}
	user := User{Name: s.User, LockPassword: true, Keys: keys}
	if s.User != root {
		user.Sudo = "ALL=(ALL) NOPASSWD:ALL"
	}
	vendor, err := yaml.Marshal(Vendor{
		DeleteHostKeys: true,
		HostKeys:       hostKeys,
		DisableRoot:    s.User != root,
		User:           user,
		Growpart:       Growpart{Mode: "auto", Devices: []string{"/"}},
		ResizeRoot:     true,
	})
	if err != nil {
		return nil, err
	}
	userData := s.UserData
	if len(userData) == 0 {
		userData = []byte(noUserData)
	}
	files := map[string][]byte{
		metaFile:   meta,
		userFile:   userData,
		vendorFile: append([]byte("#cloud-config\n"), vendor...),
	}
	if len(s.MACs) > 0 || s.Network != nil {
		files[networkFile], err = networkConfig(s.MACs, s.Network)
	}
	return files, err
}

// publicKeys returns the keys one per line. A text may be a whole authorized_keys
// file, with comments and empty lines.
func publicKeys(texts []string) ([]string, error) {
	var keys []string
	for i, text := range texts {
		for j, line := range strings.Split(text, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			// The text is not shown: it may be a private key given by mistake.
			if strings.HasPrefix(line, "-----BEGIN") {
				return nil, fmt.Errorf("SSH key %d, line %d: this is no public key but what keeps one secret; give the file that ends in .pub", i+1, j+1)
			}
			if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
				return nil, fmt.Errorf("SSH key %d, line %d: not a public key as in authorized_keys", i+1, j+1)
			}
			if keys = append(keys, line); len(keys) > MaxKeys {
				return nil, fmt.Errorf("more than %d SSH keys", MaxKeys)
			}
		}
	}
	return keys, nil
}

// hostKeyTypes are what cloud-init calls the types.
var hostKeyTypes = map[string]string{
	ssh.KeyAlgoED25519:  "ed25519",
	ssh.KeyAlgoECDSA256: "ecdsa",
	ssh.KeyAlgoECDSA384: "ecdsa",
	ssh.KeyAlgoECDSA521: "ecdsa",
	ssh.KeyAlgoRSA:      "rsa",
}

func hostKeys(private []string) (map[string]string, error) {
	if len(private) == 0 {
		return nil, errors.New("no SSH host keys: the machine would make its own, which nobody could tell from another's")
	}
	keys := map[string]string{}
	for i, text := range private {
		signer, err := ssh.ParsePrivateKey([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("SSH host key %d is not a private key in PEM", i+1)
		}
		kind, ok := hostKeyTypes[signer.PublicKey().Type()]
		if !ok || keys[kind+"_private"] != "" {
			return nil, fmt.Errorf("SSH host key %d: of type %s, which is not known or twice there", i+1, signer.PublicKey().Type())
		}
		keys[kind+"_private"] = text
		keys[kind+"_public"] = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	}
	return keys, nil
}
