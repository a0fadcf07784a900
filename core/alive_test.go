package core

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestVigil(t *testing.T) {
	type look struct {
		sign  Sign
		took  time.Duration
		alive bool
	}
	for name, tt := range map[string]struct {
		direct bool
		looks  []look
	}{
		"a greeting is life everywhere":               {false, []look{{Accepted, 10 * time.Second, false}, {Greeted, 0, true}}},
		"a key is life at once":                       {true, []look{{KeyShown, 0, true}}},
		"silence is none":                             {true, []look{{Silent, 0, false}, {Silent, 10 * time.Second, false}}},
		"the ramdisk refuses, also where it hangs":    {true, []look{{Refused, 0, false}, {Refused, 20 * time.Millisecond, false}, {Refused, 0, false}}},
		"who refuses after a silence is the OS":       {true, []look{{Refused, 0, false}, {Silent, 10 * time.Second, false}, {Refused, 0, true}}},
		"who refuses once asked again is the OS":      {true, []look{{Refused, 0, false}, {Refused, 3 * time.Second, true}}},
		"a connection after a silence is the OS's":    {true, []look{{Silent, 0, false}, {Accepted, 0, true}}},
		"a connection that nobody greets is the OS's": {true, []look{{Refused, 0, false}, {Accepted, 10 * time.Second, true}}},
		"a forwarder takes connections for the dead":  {false, []look{{Silent, 0, false}, {Accepted, 10 * time.Second, false}}},
		"a forwarder refuses for the dead":            {false, []look{{Silent, 0, false}, {Refused, 3 * time.Second, false}}},
	} {
		v := vigil{direct: tt.direct}
		for i, l := range tt.looks {
			if got := v.alive(l.sign, l.took); got != l.alive {
				t.Errorf("%s: look %d says alive %t", name, i+1, got)
			}
		}
	}
}

func TestWhatAnswersDirectly(t *testing.T) {
	peer := &Boot{Agent: &AgentEndpoint{Peer: "10.1.0.7"}}
	for name, tt := range map[string]struct {
		boot *Boot
		spec NodeSpec
		want bool
	}{
		"the ramdisk's own address":  {peer, NodeSpec{}, true},
		"the same one, declared":     {peer, NodeSpec{Address: "10.1.0.7"}, true},
		"another one, declared":      {peer, NodeSpec{Address: "192.0.2.1"}, false},
		"a port of a gateway":        {peer, NodeSpec{SSHPort: 2207}, false},
		"the agent's port forwarded": {peer, NodeSpec{Agent: AgentRoute{Address: "10.1.0.7:9100"}}, false},
		"this host itself":           {&Boot{Agent: &AgentEndpoint{Peer: "127.0.1.7"}}, NodeSpec{}, false},
		"nobody checked in":          {nil, NodeSpec{Address: "10.1.0.7"}, false},
	} {
		w := &work{attempt: Attempt{Boot: tt.boot}, node: Node{Spec: tt.spec}}
		if got := w.direct(w.access(DeployOrder{})); got != tt.want {
			t.Errorf("%s: direct %t", name, got)
		}
	}
}

func TestEvidenceKeepsTheMost(t *testing.T) {
	var e evidence
	late := errors.New("i/o timeout")
	e.add(SSHLook{}, errors.New("no route to host"))
	e.add(SSHLook{Sign: KeyShown, Key: "another"}, nil)
	e.add(SSHLook{}, late)
	if e.look.Key != "another" {
		t.Errorf("kept %+v", e.look)
	}
	e = evidence{}
	e.add(SSHLook{}, errors.New("no route to host"))
	e.add(SSHLook{}, late)
	if !errors.Is(e.err, late) {
		t.Errorf("kept %v, which is not the last of its sort", e.err)
	}
}

func TestTailIsFitToBeShown(t *testing.T) {
	text := strings.Repeat("older\n", 20) + "\n[    1.0] \x1b[31mKernel panic\x1b[0m\r\n" + strings.Repeat("x", 500) + "\n"
	got := tail(text)
	if strings.Count(got, `"older"`) != tailLines-2 || !strings.Contains(got, `Kernel panic`) || strings.ContainsAny(got, "\x1b\r\n") || !strings.HasSuffix(got, `x…"`) {
		t.Errorf("%q", got)
	}
	if got := tail(" \n\n"); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
