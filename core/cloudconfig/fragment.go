package cloudconfig

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// own are keys that are nobody's fragment's, and why: what metalpool itself tells
// cloud-init, or the user, would not be heard any more.
var own = map[string]string{}

func init() {
	for why, keys := range map[string]string{
		"the host name is the user's to choose":                                                      "hostname fqdn prefer_fqdn_over_hostname preserve_hostname create_hostname_file",
		"who logs in is the user's to choose; make an account besides with runcmd and useradd":       "user users ssh_authorized_keys system_info disable_root disable_root_opts allow_public_ssh_keys",
		"the SSH host keys are made for each deploy, and a machine that shows others is not trusted": "ssh_keys ssh_deletekeys ssh_genkeytypes",
		"metalpool's own configuration reaches the machine by it":                                    "vendor_data vendor_data2 datasource datasource_list network cloud_init_modules cloud_config_modules cloud_final_modules",
		"metalpool merges them": "merge_how merge_type",
	} {
		for _, key := range strings.Fields(keys) {
			own[key] = why
		}
	}
}

// ParseFragment reads what an operator adds to every machine: a cloud-config, whose first
// line may be left out. What would replace that which metalpool tells cloud-init itself,
// and the machine's user, is refused.
func ParseFragment(text string) (Config, error) {
	if first, _, _ := strings.Cut(strings.TrimSpace(text), "\n"); !strings.HasPrefix(first, "#") {
		text = Header + "\n" + text
	}
	c, err := Parse(text)
	if err != nil || c.top == nil {
		return c, err
	}
	if err := once(c.top); err != nil {
		return c, err
	}
	for _, key := range c.Keys() {
		if why, taken := own[key]; taken {
			return c, fmt.Errorf("%s cannot be set: %s", key, why)
		}
	}
	return c, nil
}

// once refuses a key that is there twice: only one of its values would count.
func once(n *yaml.Node) error {
	seen := map[string]bool{}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if seen[c.Value] {
				return fmt.Errorf("line %d: %s is there twice", c.Line+1, c.Value)
			}
			seen[c.Value] = true
		}
		if err := once(c); err != nil {
			return err
		}
	}
	return nil
}
