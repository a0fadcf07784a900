package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// TestRedeploy deploys a machine again with another profile, a script and user data, on a
// rack of the lab: on the pool's own host, and then as its user through a server.
func TestRedeploy(t *testing.T) {
	t.Setenv("METALPOOL_OWNER", "ann")
	played := play(t)
	defer played.end()
	ok, file := played.ok, played.file
	machine := func() core.Machine {
		t.Helper()
		var v machineView
		if err := json.Unmarshal([]byte(command(t, "machine", "show", "web-1", "-o", "json").stdout), &v); err != nil {
			t.Fatal(err)
		}
		return v.Machine
	}
	ok("apply", "-f", file("rack.yaml", `
steps:
- {name: agent, script: {run: "echo the agent is there"}}
- {name: base, script: {run: "echo the baseline is there"}}
profiles:
- {name: full, steps: [base, agent]}
- {name: bare, steps: [base]}
pools: [{name: default, default_image: lab, profile: full, profiles: [bare]}]
`))
	ok("node", "enroll", "--from", played.rack, "--erase", "--wait")
	ok("machine", "create", "web-1")
	first := machine()
	last := func() string { // that were told since the machine was deployed anew
		t.Helper()
		told := ok("machine", "logs", "web-1")
		began := strings.LastIndex(told, "(redeploy)")
		if began < 0 {
			return ""
		}
		return told[began:]
	}

	// What cannot be had is said, and nothing asked or done.
	for want, args := range map[string][]string{
		"its root disk is written over, and there is no terminal to ask on; say so with --yes": {},
		"does not offer it; there are: full, bare":                                             {"--yes", "--profile", "nosuch"},
		"no such image":       {"--image", "nosuch"},
		"--post-deploy: open": {"--yes", "--post-deploy", filepath.Join(played.home, "nosuch.sh")},
		"both be standard":    {"--yes", "--post-deploy", "-", "--init-file", "-"},
	} {
		if got := command(t, append([]string{"machine", "redeploy", "web-1"}, args...)...); got.code == exitOK || !strings.Contains(got.stderr, want) {
			t.Errorf("with %q: %+v", args, got)
		}
	}
	if told := last(); told != "" {
		t.Fatalf("it was deployed again: %s", told)
	}

	script := file("setup.sh", "#!/bin/sh\necho the user was here\n")
	if said := ok("machine", "redeploy", "web-1", "--yes", "--profile", "bare", "--post-deploy", script, "--id", "again-1"); !strings.Contains(said, "web-1 is ready after") {
		t.Errorf("it says %s", said)
	}
	told := last()
	for _, want := range []string{"the baseline is there", "the user was here"} {
		if !strings.Contains(told, want) {
			t.Errorf("no %q in %s", want, told)
		}
	}
	second := machine()
	if strings.Contains(told, "the agent is there") || second.Profile != "bare" || second.ID != first.ID || second.Node != first.Node || second.Keys[0] != first.Keys[0] || second.Access.HostKeys[0] == first.Access.HostKeys[0] {
		t.Errorf("it is %+v, and was %+v: %s", second, first, told)
	}
	// The same request again is done already.
	ok("machine", "redeploy", "web-1", "--yes", "--profile", "bare", "--post-deploy", script, "--id", "again-1")
	if again := machine(); again.Access.HostKeys[0] != second.Access.HostKeys[0] {
		t.Error("the same request deployed it once more")
	}

	// Its user does so through a server.
	token := command(t, "token", "create", "ann", "-o", "json")
	var made struct{ Secret string }
	if err := json.Unmarshal([]byte(token.stdout), &made); err != nil || made.Secret == "" {
		t.Fatalf("no token: %v", err)
	}
	serve := follow(t, "serve", "--listen", "127.0.0.1:0", "-o", "json")
	defer serve.end()
	var serving servingView
	if err := json.Unmarshal([]byte(serve.until("{")), &serving); err != nil {
		t.Fatal(err)
	}
	t.Setenv("METALPOOL_URL", serving.URL)
	ok("login", serving.URL, "--fingerprint", serving.Fingerprint, "--token-file", file("token", made.Secret))
	data := file("user-data", "#cloud-config\nruncmd: [[touch, /etc/told]]\n")
	if said := ok("machine", "redeploy", "web-1", "--yes", "--profile", "", "--init-file", data); !strings.Contains(said, "write image") || !strings.Contains(said, "web-1 is ready after") {
		t.Errorf("through a server it says %s", said)
	}
	if third := machine(); third.Profile != "" || third.Access.HostKeys[0] == second.Access.HostKeys[0] {
		t.Errorf("it is %+v", third)
	}
	if told := last(); !strings.Contains(told, "the agent is there") {
		t.Errorf("it was told %s", told)
	}
	ok("machine", "release", "web-1", "--wait")
	if got := command(t, "machine", "redeploy", string(first.ID), "--yes"); got.code != exitFailed || !strings.Contains(got.stderr, "the machine was given up: Released") {
		t.Errorf("one that was given up: %+v", got)
	}
}
