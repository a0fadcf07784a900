package guest_test

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// What setsid starts goes on when its session has ended, and ends with the machine.
func TestProcessesOutliveTheirSession(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	out, status := m.run(t, `setsid sh -c 'echo $$ > pid; until test -e go; do sleep 0.01; done; echo went > ended' & until test -s pid; do sleep 0.01; done; cat pid`)
	pid := strings.TrimSpace(out)
	if status != 0 || pid == "" {
		t.Fatalf("status %d, %q", status, out)
	}
	if out, status := m.run(t, "kill -0 "+pid); status != 0 {
		t.Errorf("it is gone: %q", out)
	}
	if out, _ := m.run(t, "touch go; until test -s ended; do sleep 0.01; done; cat ended"); out != "went\n" {
		t.Errorf("it ended with %q", out)
	}
	if out, _ := m.run(t, "while kill -0 "+pid+" 2>/dev/null; do sleep 0.01; done; kill -0 "+pid); !strings.Contains(out, "No such process") {
		t.Errorf("it is there: %q", out)
	}
	out, _ = m.run(t, `setsid sh -c 'echo $$ > second; sleep 600' & until test -s second; do sleep 0.01; done; cat second`)
	boot, _ := m.run(t, "cat /proc/sys/kernel/random/boot_id")
	m.restart(t)
	if again, _ := m.run(t, "cat /proc/sys/kernel/random/boot_id"); len(boot) != 37 || len(again) != 37 || again == boot {
		t.Errorf("the boot was %q, and is %q", boot, again)
	}
	if out, status := m.run(t, "kill -0 "+strings.TrimSpace(out)); status == 0 {
		t.Errorf("it is there after a restart: %q", out)
	}
}

func TestBlocksAreCopied(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	for command, want := range map[string]string{
		"echo 0123456789 > a; dd if=a of=b bs=4 count=2; cat b":             "01234567",
		"{ echo one; echo two; } | { dd bs=4 count=1; echo =; dd bs=100; }": "one\n=\ntwo\n",
		"dd if=none of=b 2>&1; echo $?":                                     "dd: failed to open 'none': No such file or directory\n1\n",
		"dd bs=0":                                                           "dd: invalid number: '0'\n",
	} {
		if out, _ := m.run(t, command); out != want {
			t.Errorf("%s: %q", command, out)
		}
	}
}

// Of what a step says the last bytes are told while it runs: tail -c is asked for them.
func TestBytesOfFiles(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	for command, want := range map[string]string{
		"printf 'one\\ntwo\\n' > a; tail -c 5 a":                "\ntwo\n",
		"printf 'one\\ntwo' | tail -c3":                         "two",
		"printf one | tail -c 100":                              "one",
		"printf one | tail -c 0":                                "",
		"printf 'one\\ntwo\\n' | head -c 5":                     "one\nt",
		"head -c 100000 /dev/zero | tail -c 70000 | wc -c":      "70000\n",
		"printf 'one\\ntwo\\n' | tail -n 1":                     "two\n",
		"printf 'one\\ntwo\\n' | head --bytes=3":                "one",
		"printf one | tail -c +2 2>&1":                          "tail: only -n NUMBER and -c NUMBER are known in the lab\n",
		"printf one | tail -n 1 -c 1 2>&1":                      "tail: only -n NUMBER and -c NUMBER are known in the lab\n",
		"printf one | tail -c x 2>&1; tail -c 2>&1 < /dev/null": "tail: only -n NUMBER and -c NUMBER are known in the lab\ntail: only -n NUMBER and -c NUMBER are known in the lab\n",
	} {
		if out, _ := m.run(t, command); out != want {
			t.Errorf("%s: %.100q", command, out)
		}
	}
}

// A script may take its machine off the network: connections break, those that are made
// meanwhile hear nothing, and the script goes on.
func TestOffTheNetwork(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	for command, want := range map[string]string{
		"ip link set eth0 down 2>&1":            "ip: RTNETLINK answers: Operation not permitted\n",
		"sudo ip link set dev eth9 down 2>&1":   "ip: Cannot find device \"eth9\"\n",
		"sudo ip link set eth0 mtu 9000 2>&1":   "ip: only set DEVICE up and set DEVICE down are known in the lab\n",
		"sudo ip link set 2>&1":                 "ip: only set DEVICE up and set DEVICE down are known in the lab\n",
		"sudo ip link set dev eth0 up; echo $?": "0\n",
	} {
		if out, _ := m.run(t, command); out != want {
			t.Errorf("%s: %q", command, out)
		}
	}
	client, err := m.dial("debian", m.user)
	if err != nil {
		t.Fatal(err)
	}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Run("sudo setsid sh -c 'ip link set eth0 down; ip link show eth0 > /down; until test -e /go; do sleep 0.01; done; ip link set eth0 up'; sleep 600"); err == nil {
		t.Error("its connection did not break")
	}
	seen := m.Stats().Connections
	c, err := net.Dial("tcp", m.Addr().String()) //nolint:noctx // it is over with the machine
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for m.Stats().Connections == seen {
		runtime.Gosched()
	}
	if err := m.Files().WriteFile("/go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(c); err != nil || len(said) > 0 {
		t.Errorf("it heard %q, %v", said, err)
	}
	if out, _ := m.run(t, "cat /down; ip link show eth0"); !strings.Contains(out, "NO-CARRIER> mtu 1500 qdisc noqueue state DOWN") || !strings.Contains(out, "UP,LOWER_UP> mtu 1500 qdisc noqueue state UP") {
		t.Errorf("it saw %q", out)
	}
}
