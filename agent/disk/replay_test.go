package disk

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// replay answers commands from a record: each must come as it is there, in that
// order, to the end. A line is a request and its answer:
//
//	admin OPCODE ns=NAMESPACE dw10=VALUE => ANSWER
//	scsi CDB [@OFFSET=BYTES ...] => ANSWER
//
// all in hex but offsets. After a request, @OFFSET=BYTES is data that must go out; in
// an answer it is data that comes back, zeros between. Other parts of an answer are
// status=VALUE, sense=BYTES and fail=TEXT, for a command that does not get through.
type replay struct {
	t     *testing.T
	file  string
	lines []string // those that are left
	line  int
}

func newReplay(t *testing.T, file string) *replay {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := &replay{t: t, file: file, lines: strings.Split(strings.TrimSpace(string(text)), "\n")}
	t.Cleanup(func() {
		if rest := r.rest(); len(rest) > 0 && !t.Failed() {
			t.Errorf("%s:%d: was not asked for: %s", file, r.line+1, rest[0])
		}
	})
	return r
}

func (r *replay) rest() []string {
	for len(r.lines) > 0 && (r.lines[0] == "" || strings.HasPrefix(r.lines[0], "#")) {
		r.lines, r.line = r.lines[1:], r.line+1
	}
	return r.lines
}

type answer struct {
	status int
	sense  []byte
	err    error
}

// next takes a request, and fills data from its answer.
func (r *replay) next(request string, data []byte, out bool) answer {
	r.t.Helper()
	rest := r.rest()
	if len(rest) == 0 {
		r.t.Fatalf("%s: nothing answers %s", r.file, request)
	}
	r.lines, r.line = rest[1:], r.line+1
	want, reply, _ := strings.Cut(rest[0], " => ")
	want, sent, _ := strings.Cut(want, " @")
	if strings.ReplaceAll(want, " ", "") != strings.ReplaceAll(request, " ", "") {
		r.t.Fatalf("%s:%d: asked\n%s\nand not\n%s", r.file, r.line, request, want)
	}
	if sent != "" {
		for _, part := range strings.Split(sent, " @") {
			at, b := r.at(part)
			if !out || at+len(b) > len(data) || string(data[at:at+len(b)]) != string(b) {
				r.t.Fatalf("%s:%d: goes out with % x, not %s", r.file, r.line, data[:min(len(data), 64)], part)
			}
		}
	}
	var a answer
	for i, word := range strings.Fields(reply) {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case name == "status":
			n, err := strconv.ParseInt(value, 16, 32)
			if err != nil {
				r.t.Fatal(err)
			}
			a.status = int(n)
		case name == "sense":
			a.sense = r.hex(value)
		case name == "fail":
			a.err = errors.New(strings.Join(strings.Fields(reply)[i:], " ")[len("fail="):])
			return a
		case strings.HasPrefix(name, "@"):
			at, b := r.at(word[1:])
			copy(data[at:], b)
		case name != "ok":
			r.t.Fatalf("%s:%d: %q in an answer", r.file, r.line, word)
		}
	}
	return a
}

func (r *replay) at(part string) (int, []byte) {
	at, value, _ := strings.Cut(part, "=")
	n, err := strconv.Atoi(at)
	if err != nil {
		r.t.Fatalf("%s:%d: %v", r.file, r.line, err)
	}
	return n, r.hex(value)
}

func (r *replay) hex(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		r.t.Fatalf("%s:%d: %v", r.file, r.line, err)
	}
	return b
}

func (r *replay) admin(c adminCommand, data []byte) error {
	a := r.next(fmt.Sprintf("admin %02x ns=%x dw10=%x", c.opcode, c.namespace, c.dw10), data, false)
	if a.err == nil && a.status != 0 {
		return nvmeError(a.status)
	}
	return a.err
}

func (r *replay) scsi(c scsiCommand, data []byte) (scsiAnswer, error) {
	a := r.next(fmt.Sprintf("scsi % x", c.cdb), data, c.out)
	return scsiAnswer{status: byte(a.status), sense: a.sense}, a.err
}
