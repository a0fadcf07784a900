package cloudconfig_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core/cloudconfig"
)

// fragments are those of steps a, b and so on.
func fragments(t testing.TB, texts ...string) (parts []cloudconfig.Part) {
	t.Helper()
	for i, text := range texts {
		c, err := cloudconfig.ParseFragment(text)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, cloudconfig.Part{Of: "step " + string(rune('a'+i)), Config: c})
	}
	return parts
}

func TestFragmentsAndUserData(t *testing.T) {
	for name, tt := range map[string]struct {
		fragments []string
		user      string
		want      string // "" where it is refused
		says      string
	}{
		"none":                {user: "#!/bin/sh\n", want: "#!/bin/sh\n"},
		"none, and nothing":   {},
		"one that is empty":   {fragments: []string{"\n"}, user: "anything", want: "anything"},
		"one":                 {fragments: []string{"packages: [a]"}, want: "#cloud-config\npackages: [a]\n"},
		"one with its header": {fragments: []string{"#cloud-config\n# why\npackages: [a]"}, user: " \n", want: "#cloud-config\n# why\npackages: [a]\n"},
		"lists, end to end":   {fragments: []string{"runcmd: [a]", "runcmd: [b]"}, user: "#cloud-config\nruncmd: [[c, d]]", want: "#cloud-config\nruncmd: [a, b, [c, d]]\n"},
		"maps, key by key":    {fragments: []string{"ntp: {enabled: true}"}, user: "#cloud-config\nntp: {servers: [x], enabled: true}", want: "#cloud-config\nntp: {enabled: true, servers: [x]}\n"},
		"values as written":   {fragments: []string{"a: yes"}, user: "#cloud-config\nb: no\nmode: 0644\nperms: '0600'\n", want: "#cloud-config\na: yes\nb: no\nmode: 0644\nperms: '0600'\n"},
		"a key with nothing":  {fragments: []string{"packages: [a]", "swap:"}, user: "#cloud-config\npackages:\nswap: {size: 1}\n", want: "#cloud-config\npackages: [a]\nswap: {size: 1}\n"},
		"the user's own":      {fragments: []string{"locale: C"}, user: "#cloud-config\nusers: [ann]\nhostname: h\n", want: "#cloud-config\nlocale: C\nusers: [ann]\nhostname: h\n"},
		"a user's aliases":    {fragments: []string{"locale: C"}, user: "#cloud-config\na: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, k: 3}\n", want: "#cloud-config\nlocale: C\na: {k: 1, l: 2}\nb: {k: 1, l: 2}\nc: {k: 3, l: 2}\n"},
		"a user's key twice":  {fragments: []string{"locale: C"}, user: "#cloud-config\na: 1\na: 2\n", want: "#cloud-config\nlocale: C\na: 2\n"},
		"one file, the same":  {fragments: []string{"write_files: [{path: /a, content: x}]"}, user: "#cloud-config\nwrite_files: [{path: /a, content: y, append: true}]", want: "#cloud-config\nwrite_files: [{path: /a, content: x}, {path: /a, content: y, append: true}]\n"},

		"two steps that disagree":       {fragments: []string{"timezone: UTC", "timezone: CET"}, says: "step a and step b disagree on timezone"},
		"a user who disagrees":          {fragments: []string{"x: [1]", "apt: {proxy: p}"}, user: "#cloud-config\napt: {proxy: q}", says: "step b and the user data disagree on apt.proxy"},
		"a number and a text":           {fragments: []string{"a: 1"}, user: "#cloud-config\na: '1'", says: "disagree on a"},
		"a list and a map":              {fragments: []string{"snap: {commands: [x]}"}, user: "#cloud-config\nsnap: {commands: {0: x}}", says: "step a and the user data disagree on snap.commands: one has a list"},
		"one file, written twice":       {fragments: []string{"write_files: [{path: /a, content: x}]"}, user: "#cloud-config\nwrite_files: [{path: /a, content: y}]", says: "step a and the user data disagree on write_files /a"},
		"user data that is broken":      {fragments: []string{"a: 1"}, user: "#cloud-config\nsecret: [", says: "the user data cannot be joined with step a: below the first line"},
		"user data that is no map":      {fragments: []string{"a: 1"}, user: "#cloud-config\n- x", says: "it is no map"},
		"aliases without an end":        {fragments: []string{"a: 1"}, user: "#cloud-config\nb: &x [*x]", says: "its aliases make too much of it"},
		"aliases that make very much":   {fragments: []string{"a: 1"}, user: "#cloud-config\n" + laughs, says: "its aliases make too much of it"},
		"what is packed, and is broken": {fragments: []string{"a: 1"}, user: "\x1f\x8bno", says: "the user data: "},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := cloudconfig.Combine(fragments(t, tt.fragments...), []byte(tt.user))
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !bytes.Equal(got, []byte(tt.want)) && !alike(string(got), tt.want) {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, tt.want)
			}
		})
	}
}

const laughs = `a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]
`

// alike compares cloud-configs by what they say, each value as it is written.
func alike(x, y string) bool {
	var a, b yaml.Node
	return strings.HasPrefix(x, cloudconfig.Header+"\n") && yaml.Unmarshal([]byte(x), &a) == nil && yaml.Unmarshal([]byte(y), &b) == nil && written(&a) == written(&b)
}

func written(n *yaml.Node) string {
	s := n.ShortTag() + " " + n.Value + " ("
	for _, c := range n.Content {
		s += written(c) + ","
	}
	return s + ")"
}

func TestFragmentsThatAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"hostname: x":                             "hostname cannot be set: the host name is the user's to choose",
		"users: [default, x]":                     "users cannot be set: who logs in is the user's to choose; make an account besides with runcmd and useradd",
		"ssh_authorized_keys: [x]":                "ssh_authorized_keys cannot be set",
		"ssh_keys: {rsa_private: x}":              "ssh_keys cannot be set: the SSH host keys are made for each deploy",
		"vendor_data: {enabled: false}":           "vendor_data cannot be set: metalpool's own configuration reaches the machine by it",
		"merge_how: list(append)":                 "merge_how cannot be set",
		"#!/bin/sh\necho":                         "its first line is not #cloud-config",
		"## template: jinja\n#cloud-config\na: 1": "its first line is not #cloud-config",
		"[a]":                   "no map of cloud-init's modules",
		"a: [":                  "below the first line",
		"a: &x 1\nb: *x":        "line 2: anchors and aliases",
		"a: 1\nb: {c: 1, c: 2}": "line 3: c is there twice",
	} {
		if _, err := cloudconfig.ParseFragment(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %s", text, err, says)
		}
	}
}

// A conflict says whose it is, for programs as well.
func TestConflict(t *testing.T) {
	_, err := cloudconfig.Combine(fragments(t, "timezone: UTC"), []byte("#cloud-config\ntimezone: s3cr3t"))
	c, ok := errors.AsType[*cloudconfig.ConflictError](err)
	if !ok || c.Of != [2]string{"step a", cloudconfig.OfUser} || c.Key != "timezone" || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v", err)
	}
}

func packed(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func TestPackedUserData(t *testing.T) {
	got, err := cloudconfig.Combine(fragments(t, "a: 1"), packed("#cloud-config\nb: 2\n"))
	if want := "#cloud-config\na: 1\nb: 2\n"; err != nil || string(got) != want {
		t.Errorf("%v: %s", err, got)
	}
}

// Later configs count, as the function of the Terraform provider says.
func TestOverride(t *testing.T) {
	parse := func(text string) cloudconfig.Config {
		c, err := cloudconfig.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, none := parse("#cloud-config\na: {x: 1, y: [1]}\n"), cloudconfig.Config{}
	for _, tt := range []struct {
		a, b cloudconfig.Config
		want string
	}{
		{first, parse("#cloud-config\na: {x: 2, y: [2]}\nb: 0644"), "#cloud-config\na: {x: 2, y: [1, 2]}\nb: 0644\n"},
		{first, none, "#cloud-config\na: {x: 1, y: [1]}\n"},
		{none, first, "#cloud-config\na: {x: 1, y: [1]}\n"},
		{none, none, ""},
	} {
		merged, err := tt.a.Override(tt.b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := merged.Text(); err != nil || got != tt.want {
			t.Errorf("%v: %q, want %q", err, got, tt.want)
		}
	}
	if _, err := first.Override(parse("#cloud-config\na: [1]\n")); err == nil || !strings.Contains(err.Error(), "a is of another kind") {
		t.Errorf("got %v", err)
	}
}

// Whatever somebody gives as user data, it is joined or refused.
func FuzzCombine(f *testing.F) {
	for _, text := range []string{"", "#cloud-config\nruncmd: [a]", "#!/bin/sh", laughs, script, "#cloud-config\na: &x [*x]", "Content-Type: multipart/mixed\nMIME-Version: 1.0\n\n--"} {
		f.Add([]byte(text), "packages: [a]")
	}
	f.Add(packed("#cloud-config\na: 1"), "a: {b: 1}")
	f.Fuzz(func(t *testing.T, user []byte, fragment string) {
		c, err := cloudconfig.ParseFragment(fragment)
		if err != nil {
			return
		}
		part := cloudconfig.Part{Of: "step a", Config: c}
		got, err := cloudconfig.Combine([]cloudconfig.Part{part}, user)
		if err != nil {
			return
		}
		again, err := cloudconfig.Combine([]cloudconfig.Part{part}, user)
		if err != nil || !bytes.Equal(got, again) {
			t.Errorf("it is another one the next time: %v", err)
		}
	})
}
