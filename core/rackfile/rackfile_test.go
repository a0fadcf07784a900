package rackfile_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := rackfile.File{Nodes: []rackfile.Node{
		{
			ID: "r1-n1", Pool: "gold", Labels: map[string]string{"rack": "r1", "zone": "1"}, Address: "10.0.0.1", SSHPort: 2222, DockerPort: 2376, Advertise: "10.0.2.2",
			BMC: rackfile.BMC{URL: "https://10.1.0.1:8443", User: "root", Password: "yes", Fingerprint: "ab12"},
		},
		{BMC: rackfile.BMC{URL: "http://[fe80::1]", Password: "0123", Insecure: true}},
		{BMC: rackfile.BMC{URL: "https://bmc", CA: "-----BEGIN CERTIFICATE-----\n"}},
		{
			BMC: rackfile.BMC{URL: "https://bonded"}, Boot: core.Reboot, Agent: rackfile.AgentRoute{Advertise: "10.0.2.2", Address: "127.0.1.1:9100"},
			Network: &rackfile.Network{
				Ports: []string{"02:00:00:00:00:0A", "02-00-00-00-00-0b"}, Bond: "802.3ad", VLAN: 100, MTU: 9000,
				Address: "10.1.0.7/24", Gateway: "10.1.0.1", DNS: []string{"10.1.0.2"},
			},
		},
	}}
	path := filepath.Join(t.TempDir(), "rack.yaml")
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: the file holds passwords", info.Mode(), err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := rackfile.Parse(f)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read back %+v, %v", got, err)
	}
	e := got.Nodes[0].Enrollment()
	if w := (core.Enrollment{ID: "r1-n1", Pool: "gold", Labels: want.Nodes[0].Labels, URL: "https://10.1.0.1:8443", User: "root", Password: "yes",
		Fingerprint: "ab12", Address: "10.0.0.1", SSHPort: 2222, DockerPort: 2376, Advertise: "10.0.2.2"}); !reflect.DeepEqual(e, w) {
		t.Errorf("enrollment %+v, want %+v", e, w)
	}
	e = got.Nodes[3].Enrollment()
	if w := (core.Enrollment{URL: "https://bonded", Boot: core.Reboot, Agent: core.AgentRoute{Advertise: "10.0.2.2", Address: "127.0.1.1:9100"}, Network: &core.Network{
		Ports: []string{"02:00:00:00:00:0a", "02:00:00:00:00:0b"}, Bond: "802.3ad", VLAN: 100, MTU: 9000,
		Address: netip.MustParsePrefix("10.1.0.7/24"), Gateway: netip.MustParseAddr("10.1.0.1"), DNS: []netip.Addr{netip.MustParseAddr("10.1.0.2")},
	}}); !reflect.DeepEqual(e, w) {
		t.Errorf("enrollment %+v, want %+v", e, w)
	}
}

func TestRefused(t *testing.T) {
	const node = "nodes:\n- id: a\n  bmc: {url: https://a, password: hunter2}\n"
	for text, want := range map[string]string{
		"":                                  "it lists no nodes",
		"nodes: []":                         "it lists no nodes",
		node + "  colour: red\n":            "line 4: field colour not found",
		node + "- id: b\n  bmc: {uri: x}\n": "line 5: field uri not found",
		node + "- id: b\n":                  "line 4: bmc.url is missing",
		node + "- id: b\n  bmc: {url: a}\n": "line 5: bmc.url is not of the form https://host[:port]",
		node + "- bmc: {url: 'https://u:hunter2@b'}\n":                                               "line 4: bmc.url holds a user or a password",
		node + "- id: a\n  bmc: {url: https://b}\n":                                                  "line 4: node a is listed in line 2 already",
		node + "- id: b\n  bmc: {url: https://a}\n":                                                  "line 4: the BMC is that of line 2",
		node + "- bmc: {url: https://b, insecure: true, fingerprint: ab}\n":                          "line 4: of bmc.ca, bmc.fingerprint and bmc.insecure only one can be",
		node + "  ssh_port: hunter2\n":                                                               "line 4: ssh_port is to be a number",
		node + "  ssh_port: 70000\n":                                                                 "line 4: ssh_port 70000 is not a port",
		node + "  docker_port: -1\n":                                                                 "line 4: docker_port -1 is not a port",
		node + "  address: db.example\n":                                                             "line 4: address is not an IP address",
		node + "  boot: hunter2\n":                                                                   "line 4: boot is neither kexec nor reboot",
		node + "  agent: {address: hunter2}\n":                                                       "line 4: agent.address is not of the form host:port",
		node + "  network: {}\n":                                                                     "line 4: network.ports is empty",
		node + "  network: {ports: [hunter2]}\n":                                                     "line 4: network.ports: entry 1 is not a MAC",
		node + "  network: {ports: ['02:00:00:00:00:01'], colour: x}\n":                              "line 4: field colour not found",
		node + "  network: {ports: ['02:00:00:00:00:01'], address: hunter2}\n":                       "line 4: network.address is not an IP address with its prefix",
		node + "  network: {ports: ['02:00:00:00:00:01'], address: 10.0.0.7/24, gateway: hunter2}\n": "line 4: network.gateway is not an IP address",
		node + "  network: {ports: ['02:00:00:00:00:01'], address: 10.0.0.7/24, dns: [hunter2]}\n":   "line 4: network.dns: entry 1 is not an IP address",
		node + "  network: {ports: ['02:00:00:00:00:01'], vlan: 9999}\n":                             "line 4: network.vlan 9999",
		"nodes:\n- bmc: hunter2\n":                                                                   "line 2: bmc is to be a mapping, with fields of its own: ca, ",
		"nodes: {a: [\n":                                                                             "line 1: did not find expected node content",
		node + "---\n" + node:                                                                        "more than one YAML document",
	} {
		_, err := rackfile.Parse(strings.NewReader(text))
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "rackfile.")) {
			t.Errorf("%q: the error shows too much: %v", text, err)
		}
	}
}

func TestNetworkAlone(t *testing.T) {
	got, err := rackfile.ParseNetwork(strings.NewReader("ports: [02-00-00-00-00-0A]\naddress: 10.1.0.7/24\n"))
	if want := (core.Network{Ports: []string{"02:00:00:00:00:0a"}, Address: netip.MustParsePrefix("10.1.0.7/24")}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for text, want := range map[string]string{
		"":                              "ports is empty",
		"network: {ports: []}":          "field network not found",
		"ports: [hunter2]":              "ports: entry 1 is not a MAC",
		"ports: []\n---\nports: []":     "more than one YAML document",
		"ports: [hunter2":               "did not find expected",
		"address: hunter2":              "address is not an IP address",
		strings.Repeat("# x\n", 20_000): "it has more than 64 KiB",
	} {
		_, err := rackfile.ParseNetwork(strings.NewReader(text))
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

// A mapping of very many keys is refused before the parser compares each with all others.
func TestMappingsOfManyKeys(t *testing.T) {
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "      k%d: v\n", i)
		}
		return b.String()
	}
	const plugin = "steps:\n- name: p\n  plugin:\n    name: x\n    config:\n"
	if _, err := rackfile.Read("rack.yaml", strings.NewReader(plugin+keys(5000))); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		plugin + keys(5001): "rack.yaml:6:7: a mapping has 5001 keys, and the most is 5000",
		"nodes:\n- bmc: {url: https://b}\n  labels:\n" + keys(5001): "rack.yaml:4:7: a mapping has 5001 keys, and the most is 5000",
	} {
		if _, err := rackfile.Read("rack.yaml", strings.NewReader(text)); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80v, want %s", err, want)
		}
	}
}

// All that is wrong with a file is told at once, and nothing that only follows from it.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := rackfile.Read("rack.yaml", strings.NewReader(`nmae: site
steps:
- name: agent
  timeout: soon
  script: {run: 'true'}
- name: Bad Name
  scirpt: {run: 'true'}
- name: env
  script:
    run: 'true'
    env: {POOL: '{{.Poool}}'}
- name: env
  script: {run: [a]}
- name: again
  script: {run: 'true'}
- name: again
  script: {run: 'true'}
profiles:
- name: Base Of All
- name: base
  steps: agent
pools:
- name: gold
  quota: -1
nodes:
- bmc: {url: hunter2, password: 'hunter3'}
  ssh_port: 70000
`))
	for _, want := range []string{
		"read rack file: 11 faults\n",
		"\nrack.yaml:1:1: field nmae not found; did you mean name?\n",
		"\nrack.yaml:4:12: ", `"soon" is not a length of time`,
		"\nrack.yaml:7:3: no kind of step is called scirpt; did you mean script?\n",
		"\nrack.yaml:11:17: step env: script.env.POOL: ",
		"\nrack.yaml:13:17: run is to be a text\n",
		"\nrack.yaml:16:3: step again is declared in line 14 already\n",
		"\nrack.yaml:19:9: profile Base Of All: ",
		"\nrack.yaml:21:10: steps is to be a list",
		"\nrack.yaml:24:10: pool gold: quota: the quota is negative",
		"\nrack.yaml:26:14: bmc.url is not of the form https://host[:port]\n",
		"\nrack.yaml:27:13: ssh_port 70000 is not a port",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nhas no %q", err, want)
		}
	}
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("the error shows too much: %v", err)
	}
	_, err = rackfile.Read("rack.yaml", strings.NewReader("steps:\n"+strings.Repeat("- {name: A B}\n", 100)))
	if err == nil || !strings.HasSuffix(err.Error(), "\nand 80 more") {
		t.Errorf("of a hundred it tells %v", err)
	}
}

func readAll(t *testing.T, files ...string) (all []rackfile.Rack) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		r, err := rackfile.Read(files[i], strings.NewReader(files[i+1]))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// Files that are applied together declare nothing twice.
func TestFilesThatClash(t *testing.T) {
	const step, other = "steps:\n- name: agent\n  script: {run: 'true'}\n", "profiles:\n- name: base\n  steps: []\nsteps:\n\n- script: {run: 'true'}\n  name: agent\n"
	err := rackfile.Clash(readAll(t, "a.yaml", step, "b/b.yaml", other))
	if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "b/b.yaml:6:3: step agent is declared at a.yaml:2:3, too") {
		t.Error(err)
	}
	if err := rackfile.Clash(readAll(t, "a.yaml", step, "b.yaml", "profiles: [{name: agent, steps: []}]")); err != nil {
		t.Error(err)
	}
	err = rackfile.OneDeclarer(readAll(t, "a/rack.yaml", step, "b/rack.yaml", other))
	if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "a/rack.yaml and b/rack.yaml both declare things as file:rack.yaml") {
		t.Error(err)
	}
	if err := rackfile.OneDeclarer(readAll(t, "a/rack.yaml", step, "b/rack.yaml", "name: b\n"+other)); err != nil {
		t.Error(err)
	}
}

// Where a part of what was declared is found in the file.
func TestWhereThingsAre(t *testing.T) {
	r := readAll(t, "rack.yaml", `steps:
- name: agent
  after: [one, two]
  script:
    run: |
      set -e
      true
    env: {A: b}
`)[0]
	for _, tt := range []struct {
		of, name, want string
		part           core.Remark
	}{
		{"step", "agent", "rack.yaml:2:3", core.Remark{}},
		{"step", "agent", "rack.yaml:3:16", core.Remark{Path: []string{"after", "1"}}},
		{"step", "agent", "rack.yaml:8:14", core.Remark{Path: []string{"script", "env", "A"}}},
		{"step", "agent", "rack.yaml:7", core.Remark{Path: []string{"script", "run"}, Line: 2}},
		{"step", "agent", "rack.yaml:4:3", core.Remark{Path: []string{"script", "files", "x"}}},
		{"pool", "agent", "", core.Remark{}},
	} {
		if got := r.At(tt.of, tt.name, tt.part); got != tt.want {
			t.Errorf("%s %s %+v is at %q, want %q", tt.of, tt.name, tt.part, got, tt.want)
		}
	}
}

// An entry without anything is told, and those after it are theirs all the same.
func TestEmptyEntries(t *testing.T) {
	for text, want := range map[string][]string{
		"pools:\n-\n": {"rack.yaml:2:2: an entry of pools is empty"},
		"nodes:\n- ~\n- id: r1-n7\n  pool: gold\n  bmc: {url: https://b}\n": {"rack.yaml:2:3: an entry of nodes is empty"},
		"steps:\n- &none\nprofiles:\n- *none\n":                             {"rack.yaml:2:3: an entry of steps is empty", "rack.yaml:4:3: an entry of profiles is empty"},
		"profiles:\n- name: base\n  steps: [agent, ~, baseline]\n":          {"rack.yaml:3:18: an entry of steps is empty"},
		"images: [5, {name: b b}]\n":                                        {"rack.yaml:1:10: an entry of images is to be a mapping", `rack.yaml:1:13: image b b: "b b" cannot name an image`},
	} {
		_, err := rackfile.Read("rack.yaml", strings.NewReader(text))
		if !core.Is(err, core.Invalid) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		for _, one := range want {
			if !strings.Contains(err.Error(), one) {
				t.Errorf("%q: %v, want %q", text, err, one)
			}
		}
	}
}
