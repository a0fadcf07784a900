package guest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core/deploy/seed"
)

const (
	instanceDir  = "/var/lib/cloud/instance"
	instanceFile = "/var/lib/cloud/data/instance-id"
	initLog      = "/var/log/cloud-init.log"
	// defaultUser is Debian's, where the seed names none.
	defaultUser = "debian"
)

// cloudConfig is what we know of a #cloud-config. Everything else is left alone.
type cloudConfig struct {
	Hostname    string            `yaml:"hostname"`
	SSHKeys     map[string]string `yaml:"ssh_keys"`
	Keys        []string          `yaml:"ssh_authorized_keys"`
	DisableRoot *bool             `yaml:"disable_root"`
	User        userConfig        `yaml:"user"`
	Users       userList          `yaml:"users"`
	WriteFiles  []fileConfig      `yaml:"write_files"`
	RunCommands []yaml.Node       `yaml:"runcmd"`
}

type userConfig struct {
	Name  string   `yaml:"name"`
	Home  string   `yaml:"homedir"`
	Shell string   `yaml:"shell"`
	Sudo  oneOrAll `yaml:"sudo"`
	Keys  []string `yaml:"ssh_authorized_keys"`
}

type fileConfig struct {
	Path        string `yaml:"path"`
	Content     string `yaml:"content"`
	Encoding    string `yaml:"encoding"`
	Owner       string `yaml:"owner"`
	Permissions string `yaml:"permissions"`
	Append      bool   `yaml:"append"`
}

// UnmarshalYAML takes a name alone, too.
func (u *userConfig) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		u.Name = n.Value
		return nil
	}
	type plain userConfig
	return n.Decode((*plain)(u))
}

type userList []userConfig

// oneOrAll is a rule, a list of rules, or false.
type oneOrAll []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (o *oneOrAll) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return n.Decode((*[]string)(o))
	}
	if n.Tag == "!!str" {
		*o = []string{n.Value}
	}
	return nil
}

// initialise does what cloud-init does on the first boot of an instance, and
// nothing on later ones: what people changed since then stays.
func (g *Guest) initialise() error {
	meta, err := g.config.Seed.ParseMeta()
	if err != nil {
		return err
	}
	root := g.Files()
	if have, err := root.ReadFile(instanceFile); err == nil && strings.TrimSpace(string(have)) == meta.InstanceID {
		return nil
	}
	var warnings []string
	c, script, warnings := combine(g.config.Seed)
	if c.Hostname == "" {
		c.Hostname = meta.Hostname
	}
	steps := []func() error{
		func() error { return g.setHostname(c.Hostname) },
		func() error { return g.installHostKeys(c.SSHKeys) },
		func() error { return g.installUsers(c, slices.Concat(meta.Keys, c.Keys)) },
		func() error { return g.installFiles(c.WriteFiles, &warnings) },
		func() error { return g.record(script, c.RunCommands) },
		func() error {
			return g.put(initLog, strings.Join(append(warnings, "Cloud-init finished: datasource NoCloud\n"), "\n"), 0o640)
		},
		// Last, so that a boot that was cut starts over.
		func() error { return g.put(instanceFile, meta.InstanceID+"\n", 0o644) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("cloud-init: %w", err)
		}
	}
	return nil
}

// combine reads user data over vendor data, key by key, as cloud-init does. What
// cannot be read is left out with a warning, which shows nothing of it.
func combine(files seed.Files) (c cloudConfig, script []byte, warnings []string) {
	merged := map[string]yaml.Node{}
	for _, file := range []struct {
		name string
		data []byte
	}{{"vendor-data", files.Vendor}, {"user-data", files.User}} {
		said := map[string]yaml.Node{}
		for _, part := range entities(file.data) {
			switch {
			case len(bytes.TrimSpace(part.data)) == 0:
			case bytes.HasPrefix(part.data, []byte("#cloud-config")):
				var keys map[string]yaml.Node
				if err := yaml.Unmarshal(part.data, &keys); err != nil {
					warnings = append(warnings, "WARNING: "+file.name+" is not valid YAML and is ignored")
					continue
				}
				part.into(said, keys)
			case bytes.HasPrefix(part.data, []byte("#!")):
				script = part.data
			default:
				warnings = append(warnings, "WARNING: "+file.name+" is of a format that the lab does not know and is ignored")
			}
		}
		maps.Copy(merged, said)
	}
	for key, node := range merged {
		one, err := yaml.Marshal(map[string]*yaml.Node{key: &node})
		if err == nil {
			err = yaml.Unmarshal(one, &c)
		}
		if err != nil {
			warnings = append(warnings, "WARNING: "+key+" is not as cloud-init knows it and is ignored")
		}
	}
	return c, script, warnings
}

func (g *Guest) setHostname(name string) error {
	if name == "" {
		return nil
	}
	return errors.Join(
		g.put("/etc/hostname", name+"\n", 0o644),
		g.appendLine("/etc/hosts", "127.0.1.1\t"+name, 0o644))
}

// installUsers makes the users and lets their keys in. The keys that belong to no
// user are the default user's; root gets them as cloud-init gives them to root, with
// a command that says who to log in as.
func (g *Guest) installUsers(c cloudConfig, keys []string) error {
	distribution := userConfig{Name: defaultUser, Sudo: oneOrAll{"ALL=(ALL) NOPASSWD:ALL"}}
	standard := c.User
	if standard.Name == "" {
		standard.Name = distribution.Name
	}
	if standard.Sudo == nil {
		standard.Sudo = distribution.Sudo
	}
	users := c.Users
	if users == nil || c.User.Name != "" {
		users = append(slices.Clone(users), userConfig{Name: "default"})
	}
	first := ""
	for _, u := range users {
		if u.Name == "default" {
			u = standard
			u.Keys = slices.Concat(u.Keys, keys)
			first = u.Name
		}
		a, err := g.addUser(u.Name, u.Home, u.Shell, u.Sudo)
		if err != nil {
			return err
		}
		if err := g.authorize(a, u.Keys); err != nil {
			return err
		}
	}
	root, _ := g.account("root")
	if first == root.name {
		return nil
	}
	if c.DisableRoot == nil || *c.DisableRoot {
		for i, key := range keys {
			keys[i] = fmt.Sprintf(`no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command="echo 'Please login as the user \"%s\" rather than the user \"root\".'; exit 142" %s`, first, key)
		}
	}
	return g.authorize(root, keys)
}

func (g *Guest) installFiles(list []fileConfig, warnings *[]string) error {
	for _, f := range list {
		content := []byte(f.Content)
		switch f.Encoding {
		case "", "text/plain":
		case "b64", "base64":
			var err error
			if content, err = base64.StdEncoding.DecodeString(f.Content); err != nil {
				*warnings = append(*warnings, "WARNING: write_files: "+f.Path+" is not valid base64 and is left out")
				continue
			}
		default:
			*warnings = append(*warnings, "WARNING: write_files: "+f.Path+" has an encoding that the lab does not know and is left out")
			continue
		}
		mode, err := strconv.ParseUint(f.Permissions, 8, 32)
		if err != nil {
			mode = 0o644
		}
		if f.Append {
			have, _ := g.Files().ReadFile(f.Path)
			content = append(have, content...)
		}
		if !path.IsAbs(f.Path) {
			*warnings = append(*warnings, "WARNING: write_files: "+f.Path+" is not absolute and is left out")
			continue
		}
		if err := g.put(f.Path, string(content), fs.FileMode(mode)); err != nil {
			return err
		}
		user, _, _ := strings.Cut(f.Owner, ":")
		if a, found := g.account(user); found {
			if err := g.Files().Chown(f.Path, a.uid, a.gid); err != nil {
				return err
			}
		}
	}
	return nil
}

// record keeps what a real machine would run, where cloud-init keeps it. It is not
// run: the lab has none of the programs that it may be about.
func (g *Guest) record(script []byte, commands []yaml.Node) error {
	err := g.put(instanceDir+"/user-data.txt", string(g.config.Seed.User), 0o600)
	if len(script) > 0 {
		err = errors.Join(err, g.put(instanceDir+"/scripts/part-001", string(script), 0o700))
	}
	if len(commands) > 0 {
		text, merr := yaml.Marshal(commands)
		err = errors.Join(err, merr, g.put(instanceDir+"/runcmd", string(text), 0o600))
	}
	return err
}

// put writes a file of root's, with the directories above it.
func (g *Guest) put(name, text string, mode fs.FileMode) error {
	root := g.Files()
	return errors.Join(root.MkdirAll(path.Dir(name), 0o755), root.WriteFile(name, []byte(text), mode), root.Chmod(name, mode))
}

func (g *Guest) appendLine(name, line string, mode fs.FileMode) error {
	f, err := g.Files().Open(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, mode)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(line + "\n"))
	return errors.Join(err, f.Close())
}
