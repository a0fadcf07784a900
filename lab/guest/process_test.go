package guest_test

import (
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
	m.restart(t)
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
