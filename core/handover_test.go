package core_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// handovers are those of the host's calls that start an OS.
func handovers(h *enginetest.Host) []string {
	var made []string
	for i, call := range h.Calls() {
		switch {
		case call == "agent kexec", call == "agent reboot":
			made = append(made, strings.TrimPrefix(call, "agent "))
		case call == "bmc set power on" && slices.Contains(h.Calls()[:i], "agent seed"):
			made = append(made, "cold")
		}
	}
	return made
}

func TestHandover(t *testing.T) {
	for _, tt := range []struct {
		name        string
		node, image core.BootMode
		trouble     func(s *enginetest.Server)
		want        []string
		remembers   bool
		note        string
	}{
		{name: "by default", want: []string{"kexec"}},
		{name: "as the image says", image: core.Reboot, want: []string{"reboot"}},
		{name: "the node's word goes before the image's", node: core.Kexec, image: core.Reboot, want: []string{"kexec"}},
		{name: "as the node says", node: core.Reboot, want: []string{"reboot"}},
		{
			name: "firmware looks at media first", node: core.Reboot, want: []string{"reboot"},
			trouble: func(s *enginetest.Server) { s.MediaFirst() },
		},
		{
			name: "media cannot be ejected while the server runs", node: core.Reboot, want: []string{"reboot", "cold"},
			trouble: func(s *enginetest.Server) { s.MediaFirst(); s.LockMedia() },
		},
		{
			name: "kexec is refused", want: []string{"kexec", "reboot"}, note: "kexec is not possible",
			trouble: func(s *enginetest.Server) {
				s.Fail(enginetest.Fault{Op: "kexec", Err: enginetest.ErrBroken, Times: -1})
			},
		},
		{
			// The second start is another ramdisk's: only an agent makes sure of what starts.
			name: "the agent was heard no more", want: []string{"kexec", "cold", "kexec"},
			trouble: func(s *enginetest.Server) {
				s.Fail(enginetest.Fault{Op: "kexec", Err: enginetest.ErrUnreachable, Times: 1, After: true})
			},
		},
		{
			// It refuses connections all the time, as an OS without SSH would.
			name: "kexec hangs in the ramdisk's kernel", want: []string{"kexec", "cold"}, remembers: true, note: "no sign of life at 10.0.0.1 port 22 for 10m0s after kexec",
			trouble: func(s *enginetest.Server) {
				s.Fail(enginetest.Fault{Op: "kexec stuck", Err: enginetest.ErrBroken, Times: -1})
			},
		},
		{
			name: "kexec hangs", want: []string{"kexec", "cold"}, remembers: true, note: "no sign of life at 10.0.0.1 port 22 for 10m0s after kexec",
			trouble: func(s *enginetest.Server) {
				s.Fail(enginetest.Fault{Op: "kexec hang", Err: enginetest.ErrBroken, Times: -1})
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				e, host := p.engine()
				if _, err := e.SetNode(t.Context(), "n1", core.NodeChange{Boot: &tt.node}); err != nil {
					t.Fatal(err)
				}
				if _, err := e.AddImage(t.Context(), core.Image{Name: "debian", Source: "/debian.img", Arch: "amd64", User: "debian", Boot: tt.image}, nil); err != nil {
					t.Fatal(err)
				}
				if tt.trouble != nil {
					tt.trouble(p.rack.Server("n1"))
				}
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
					t.Fatal(err)
				}
				if got := handovers(host); !slices.Equal(got, tt.want) {
					t.Errorf("started by %q, want %q", got, tt.want)
				}
				if !strings.Contains(p.story(), tt.note) {
					t.Errorf("no event tells %q", tt.note)
				}
				spec := p.node("n1").Spec
				if got := spec.BootWhy != ""; got != tt.remembers || got && spec.Boot != core.Reboot {
					t.Errorf("the node remembers boot %q, %q", spec.Boot, spec.BootWhy)
				}
				p.sound()
			})
		})
	}
}

// A node on which kexec led nowhere goes through its firmware from then on, until the
// operator has kexec tried again.
func TestANodeRemembersThatKexecHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "kexec hang", Err: enginetest.ErrBroken, Times: 1})
		deploy := func(id string) []string {
			e, host := p.engine()
			if _, err := e.Create(t.Context(), order(id, "web"), nil); err != nil {
				t.Fatal(err)
			}
			if err := e.Release(t.Context(), core.AllocationID(id), core.ReleaseOptions{WaitClean: true}, nil); err != nil {
				t.Fatal(err)
			}
			made := handovers(host)
			return made[:len(made)-1] // the clean's own ramdisk is turned on last
		}
		if got := deploy("a-1"); !slices.Equal(got, []string{"kexec", "cold"}) {
			t.Errorf("the first time: %q", got)
		}
		if why := p.node("n1").Spec.BootWhy; !strings.Contains(why, "image debian, started by kexec, showed no life at 10.0.0.1 port 22") {
			t.Errorf("it remembers %q", why)
		}
		if got := deploy("a-2"); !slices.Equal(got, []string{"reboot"}) {
			t.Errorf("the second time: %q", got)
		}
		kexec := core.Kexec
		e, _ := p.engine()
		if n, err := e.SetNode(t.Context(), "n1", core.NodeChange{Boot: &kexec}); err != nil || n.Spec.BootWhy != "" {
			t.Errorf("the operator's word left %q, %v", n.Spec.BootWhy, err)
		}
		if got := deploy("a-3"); !slices.Equal(got, []string{"kexec"}) {
			t.Errorf("the third time: %q", got)
		}
		p.sound()
	})
}

// Where the disk leads nowhere either, kexec is not to blame.
func TestADeadImageIsNotHeldAgainstKexec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, host := p.engine()
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "boot disk", Err: enginetest.ErrBroken, Times: -1})
		_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if !core.Is(err, core.Timeout) || !strings.Contains(err.Error(), "nothing answers at 10.0.0.1 port 22") {
			t.Errorf("got %v", err)
		}
		if got := handovers(host); !slices.Equal(got, []string{"kexec", "cold"}) {
			t.Errorf("started by %q", got)
		}
		if spec := p.node("n1").Spec; spec.Boot != "" || spec.BootWhy != "" {
			t.Errorf("the node remembers %q, %q", spec.Boot, spec.BootWhy)
		}
		p.sound()
	})
}

// An image that can be started in no way is nobody's fault but its maker's: the machine
// is Failed, and no other node has to find out as well.
func TestAnImageThatCannotBeStartedIsNoNodesFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		e, _ := p.engine()
		for _, s := range p.rack.Servers() {
			s.Fail(enginetest.Fault{Op: "kexec", Err: enginetest.ErrBroken, Times: -1})
			s.Fail(enginetest.Fault{Op: "reboot", Err: &core.Error{Op: "boot", Kind: core.Invalid, Err: errors.New("no boot loader")}, Times: -1})
		}
		m, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "no boot loader") {
			t.Errorf("%+v, %v", m, err)
		}
		if m := p.machine("a-1"); m.State != core.Failed || len(m.Moves) != 0 || p.node(m.Node).Suspect {
			t.Errorf("%+v", m)
		}
		p.sound()
	})
}

// A worker that takes over between the watchdog's word and its deed goes on with the
// deed, and waits for SSH anew.
func TestTheWatchdogsWordOutlivesItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "kexec hang", Err: enginetest.ErrBroken, Times: -1})
		e, host := p.engine()
		calls := make(chan struct{})
		go func() {
			defer close(calls)
			_, _ = e.Create(context.WithoutCancel(t.Context()), order("a-1", "web-1"), func(pr core.Progress) {
				if strings.Contains(pr.Message, "turning the server off and on") {
					host.FreezeIn("bmc set power off", enginetest.Before)
				}
			})
		}()
		<-host.Frozen()
		other, second := p.engine()
		if _, err := other.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		if got := slices.DeleteFunc(second.Calls(), func(c string) bool { return !strings.HasPrefix(c, "agent") }); len(got) != 0 {
			t.Errorf("the agent is gone, and was called: %q", got)
		}
		if p.node("n1").Spec.BootWhy == "" {
			t.Error("the node does not remember")
		}
		host.Thaw()
		<-calls
		p.sound()
	})
}

// Whatever SSH shows, its error says what is there and what to do, and how the console
// ends.
func TestSSHThatNeverShowsTheKeySaysWhy(t *testing.T) {
	const dead = core.Sign(-1) // no OS starts
	for _, tt := range []struct {
		name string
		look core.SSHLook
		spec func(s *core.Enrollment)
		want []string
	}{
		{
			name: "nothing answers", look: core.SSHLook{Sign: dead},
			want: []string{"nothing answers at 10.0.0.1 port 22, which its ramdisk had (ssh: transient: no route to host)", "has another address", "'metalpool node set n1 --address ADDRESS'"},
		},
		{
			name: "nothing answers at the address given", look: core.SSHLook{Sign: dead},
			spec: func(s *core.Enrollment) { s.Address = "192.0.2.7" },
			want: []string{"nothing answers at 192.0.2.7 port 22, the address that the node was given"},
		},
		{
			name: "nothing answers at the address configured", look: core.SSHLook{Sign: dead},
			spec: func(s *core.Enrollment) {
				s.Network = &core.Network{Ports: []string{"02:00:00:00:00:01"}, Address: netip.MustParsePrefix("192.0.2.8/24")}
			},
			want: []string{"nothing answers at 192.0.2.8 port 22, the address that it was to configure", "did not configure its network"},
		},
		{name: "no SSH server", look: core.SSHLook{Sign: core.Refused}, want: []string{"10.0.0.1 port 22 refuses connections", "no SSH server runs there"}},
		{name: "somebody else listens", look: core.SSHLook{Sign: core.Accepted}, want: []string{"takes connections, and no SSH server greets"}},
		{name: "no key", look: core.SSHLook{Sign: core.Greeted}, want: []string{"greets, and shows no host key"}},
		{
			name: "another key", look: core.SSHLook{Sign: core.KeyShown, Key: "ssh-ed25519 OTHER"},
			want: []string{"shows another host key than was made for this machine: ssh-ed25519 OTHER", "the image has no cloud-init"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := bareRack(t, 1)
				e, _ := p.engine()
				s := p.rack.Server("n1")
				in := core.Enrollment{ID: "n1", URL: s.BMC(), User: "root", Password: "calvin", Erase: true}
				if tt.spec != nil {
					tt.spec(&in)
				}
				if _, err := e.Enroll(t.Context(), in, nil); err != nil {
					t.Fatal(err)
				}
				p.reconcile()
				if tt.look.Sign == dead {
					s.Fail(enginetest.Fault{Op: "boot disk", Err: enginetest.ErrBroken, Times: -1})
				} else {
					s.ShowSSH(tt.look)
				}
				s.Say("GRUB\r\n[    1.0] Kernel panic\r\n", "")
				_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
				if !core.Is(err, core.Timeout) {
					t.Fatal(err)
				}
				for _, want := range append(tt.want, `its console ends: "GRUB", "[ 1.0] Kernel panic"`) {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v\ndoes not say %q", err, want)
					}
				}
				p.sound()
			})
		})
	}
}

// Who finds the machine at another address while it is waited for need only say so.
func TestAnAddressThatIsSaidMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		real, wrong := p.rack.Server("n1").Address, "192.0.2.9"
		if _, err := e.SetNode(t.Context(), "n1", core.NodeChange{Address: &wrong}); err != nil {
			t.Fatal(err)
		}
		var said []string
		operator, _ := p.engine()
		time.AfterFunc(5*time.Minute, func() {
			if _, err := operator.SetNode(context.WithoutCancel(t.Context()), "n1", core.NodeChange{Address: &real}); err != nil {
				t.Error(err)
			}
		})
		m, err := e.Create(t.Context(), order("a-1", "web-1"), func(pr core.Progress) { said = append(said, pr.Message) })
		if err != nil || m.Access.Address != real {
			t.Errorf("it is at %q, %v", m.Access.Address, err)
		}
		all := strings.Join(said, "\n")
		for _, want := range []string{"nothing answers at 192.0.2.9 port 22", "looking at 10.0.0.1 port 22 from now on"} {
			if strings.Count(all, want) != 1 {
				t.Errorf("%q was told %d times in\n%s", want, strings.Count(all, want), all)
			}
		}
		p.sound()
	})
}

func TestAFailedStepIsToldWithTheAgentsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		s := p.rack.Server("n1")
		s.Say("", "level=ERROR msg=\"write: input/output error\"\n")
		s.Fail(enginetest.Fault{Op: "write", Err: enginetest.ErrBroken, Times: -1})
		_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if !core.Is(err, core.Backend) {
			t.Fatal(err)
		}
		if want := `the agent's log ends: "write: input/output error"`; !strings.Contains(p.story(), want) {
			t.Errorf("no event says %q\n%s", want, p.story())
		}
	})
}
