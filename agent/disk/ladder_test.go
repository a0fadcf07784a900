package disk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// paper is a surface that only notes what is done to it.
type paper struct {
	done []string
	err  error
}

func (p *paper) overwrite(context.Context, func(done, total core.Bytes)) error {
	p.done = append(p.done, "overwrite")
	return p.err
}

func (p *paper) zeroAll(context.Context, func(done, total core.Bytes)) error {
	p.done = append(p.done, "zero")
	return p.err
}

// on is an eraser of a disk that answers from a record.
func on(t *testing.T, record string, f facts) (*eraser, *paper, *[]core.Bytes) {
	t.Helper()
	var told []core.Bytes
	p := &paper{}
	f.name, f.info.Size = "disk", 1<<20
	if f.sector == 0 {
		f.sector = 512
	}
	return &eraser{
		facts: f, commands: newReplay(t, "testdata/"+record+".seam"), surface: p,
		progress: func(done, _ core.Bytes) { told = append(told, done) },
		pause:    func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) },
	}, p, &told
}

func TestTheLadder(t *testing.T) {
	drive := facts{transport: nvme, namespace: 1}
	disk := facts{transport: ata}
	sas := facts{transport: scsi}
	for _, test := range []struct {
		record string
		facts  facts
		name   string
		class  core.EraseClass
		told   []core.Bytes
		done   []string // by writes
		err    string
	}{
		{record: "nvme-crypto", facts: drive, name: "NVMe sanitize (crypto erase)", class: core.Purge, told: []core.Bytes{0, 256 << 10}},
		{record: "nvme-falls", facts: drive, class: core.Purge,
			name: "NVMe format (crypto erase) (NVMe sanitize (crypto erase): the drive says that it failed; NVMe sanitize (block erase): NVMe status 0x1: invalid opcode)"},
		{record: "nvme-format", facts: facts{transport: nvme, namespace: 2, zeroes: true}, name: "NVMe format (user data erase)", class: core.Clear},
		{record: "nvme-overwrite", facts: drive, name: "NVMe sanitize (overwrite)", class: core.Purge},
		{record: "nvme-detached", facts: facts{transport: nvme, namespace: 1, zeroes: true},
			err: "no method worked: overwrite: namespace 3 is not attached to this controller and would stay as it is; attach or delete it"},
		{record: "nvme-detached-sanitized", facts: drive, class: core.Purge,
			name: "NVMe sanitize (block erase) (overwrite: namespace 3 is not attached to this controller and would stay as it is; attach or delete it)"},
		{record: "nvme-untold", facts: drive,
			err: "no method worked: overwrite: the drive does not say which namespaces it has: NVMe status 0x2: invalid field"},
		{record: "nvme-another", facts: drive, class: core.Clear, done: []string{"overwrite"},
			name: "overwrite with zeros (NVMe sanitize (crypto erase): the drive's log tells of another one: state 1 of action 2)"},
		{record: "nvme-mute", facts: drive, class: core.Clear, done: []string{"overwrite"},
			name: "overwrite with zeros (the disk does not say what else it can: input/output error)"},
		{record: "ata-sanitize", facts: disk, name: "ATA sanitize (block erase)", class: core.Purge, told: []core.Bytes{512 << 10}},
		{record: "ata-sanitize-fails", facts: disk, class: core.Clear, done: []string{"overwrite"},
			name: "overwrite with zeros (ATA sanitize (crypto scramble): the drive refuses command 0xb4)"},
		{record: "ata-no-registers", facts: disk, class: core.Clear, done: []string{"overwrite"},
			name: "overwrite with zeros (ATA sanitize (crypto scramble): command 0xb4: the controller does not pass on what the drive answers)"},
		{record: "ata-security", facts: disk, name: "ATA security erase (enhanced)", class: core.Clear},
		{record: "ata-security-fails", facts: disk, class: core.Clear,
			name: "ATA security erase (ATA security erase (enhanced): command 0xf4 ends with status 0x51, error 0x10)"},
		{record: "ata-still-locked", facts: disk, class: core.Clear, done: []string{"overwrite"},
			name: "overwrite with zeros (ATA security erase: the drive is still locked by its password)"},
		{record: "ata-frozen", facts: disk, class: core.Clear, done: []string{"overwrite"},
			name: "overwrite with zeros (ATA security erase: the firmware froze it; to thaw it, look for such a setting in the firmware, or plug the drive in while the power is on)"},
		{record: "ata-hidden", facts: disk, err: "no method worked: overwrite: 512 MiB at the disk's end are hidden by a host protected area; remove it, or boot with libata.ignore_hpa=1"},
		{record: "ata-hidden-untold", facts: disk, class: core.Clear, done: []string{"overwrite"},
			name: "overwrite with zeros (whether a host protected area hides a part of it is not known: command 0x27: the controller does not pass on what the drive answers)"},
		{record: "scsi-block", facts: sas, name: "SCSI sanitize (block erase)", class: core.Purge, told: []core.Bytes{256 << 10}},
		{record: "scsi-overwrite", facts: sas, name: "SCSI sanitize (overwrite)", class: core.Purge},
		{record: "scsi-reset", facts: sas, name: "SCSI sanitize (block erase)", class: core.Purge, told: []core.Bytes{256 << 10}},
		{record: "scsi-breaks", facts: sas, class: core.Clear, done: []string{"overwrite"},
			name: "overwrite with zeros (SCSI sanitize (block erase): SCSI sense 4/44/00)"},
		{record: "scsi-mute", facts: sas, class: core.Clear, done: []string{"overwrite"},
			name: "overwrite with zeros (SCSI sanitize (block erase): the disk does not say what it is at)"},
		{record: "scsi-falls", facts: sas, class: core.Clear, done: []string{"overwrite"},
			name: "overwrite with zeros (SCSI sanitize (block erase): SCSI sense 3/31/03: sanitize failed; SCSI sanitize (overwrite): SCSI status 0x18)"},
	} {
		t.Run(test.record, func(t *testing.T) {
			e, p, told := on(t, test.record, test.facts)
			name, class, err := e.erase(t.Context())
			if name != test.name || class != test.class {
				t.Errorf("%q, %s by\n%s, want %s by\n%s", err, class, name, test.class, test.name)
			}
			if test.err == "" && err != nil || test.err != "" && (err == nil || err.Error() != test.err) {
				t.Errorf("got %v, want %q", err, test.err)
			}
			if !slices.Equal(*told, test.told) || !slices.Equal(p.done, test.done) {
				t.Errorf("told of %v and did %q, want %v and %q", *told, p.done, test.told, test.done)
			}
		})
	}
}

func TestResume(t *testing.T) {
	for _, test := range []struct {
		record    string
		transport transport
		told      []core.Bytes
		err       string
	}{
		{"nvme-resume", nvme, []core.Bytes{768 << 10}, ""},
		{"nvme-resume-failed", nvme, nil, ""},
		{"nvme-plain", nvme, nil, ""},
		{"ata-resume", ata, []core.Bytes{256 << 10}, ""},
		{"ata-ours", ata, nil, ""},
		{"ata-theirs", ata, nil, "the drive is locked by a password that an owner or the firmware set; remove it there, or revert the drive with the PSID on its label: the drive refuses command 0xf2"},
		{"ata-locked-frozen", ata, nil, "the drive is locked, and takes no password before it is powered off and on: by a password that an owner or the firmware set; remove it there, or revert the drive with the PSID on its label"},
		{"scsi-resume", scsi, []core.Bytes{128 << 10}, ""},
		{"scsi-resume-failed", scsi, nil, ""},
		{"scsi-resume-mute", scsi, nil, ""},
	} {
		t.Run(test.record, func(t *testing.T) {
			e, _, told := on(t, test.record, facts{transport: test.transport, namespace: 1})
			err := e.resume(t.Context())
			if test.err == "" && err != nil || test.err != "" && (err == nil || err.Error() != test.err) {
				t.Errorf("got %v, want %q", err, test.err)
			}
			if !slices.Equal(*told, test.told) {
				t.Errorf("told of %v, want %v", *told, test.told)
			}
		})
	}
}

// attention is a disk that tells of a reset whenever it is asked.
type attention struct{ asked int }

func (a *attention) admin(adminCommand, []byte) error { return errors.New("no NVMe drive") }

func (a *attention) scsi(_ scsiCommand, data []byte) (scsiAnswer, error) {
	a.asked++
	copy(data, []byte{0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29, 0, 0, 0, 0, 0})
	return scsiAnswer{}, nil
}

func TestADiskThatNeverSettlesDidNotSucceed(t *testing.T) {
	a := &attention{}
	e := &eraser{commands: a, pause: func(context.Context, time.Duration) error { return nil }}
	if err := e.awaitSCSI(t.Context()); err == nil || a.asked < 2 {
		t.Errorf("after %d looks: %v", a.asked, err)
	}
}

// TestAnEraserIsCutOff ends the work while the drive goes on.
func TestAnEraserIsCutOff(t *testing.T) {
	why := errors.New("the power is cut")
	ctx, cancel := context.WithCancelCause(t.Context())
	e, _, _ := on(t, "nvme-cut", facts{transport: nvme, namespace: 1})
	e.pause = func(ctx context.Context, _ time.Duration) error {
		cancel(why)
		return context.Cause(ctx)
	}
	if _, class, err := e.erase(ctx); class != core.NotErased || !errors.Is(err, why) {
		t.Errorf("%q, %v", class, err)
	}
}

func TestClearMethods(t *testing.T) {
	for _, test := range []struct {
		zeroes bool
		err    error
		done   []string
		want   string
	}{
		{false, nil, []string{"overwrite"}, "overwrite with zeros"},
		{true, nil, []string{"zero"}, "write zeroes"},
		{true, errors.New("broken"), []string{"zero", "overwrite"}, ""},
	} {
		p := &paper{err: test.err}
		e := &eraser{facts: facts{transport: virtio, zeroes: test.zeroes}, surface: p}
		name, _, err := e.erase(t.Context())
		if name != test.want || !slices.Equal(p.done, test.done) {
			t.Errorf("%q by %q, want %q by %q", name, p.done, test.want, test.done)
		}
		if test.err != nil && (err == nil || !strings.Contains(err.Error(), "write zeroes: broken; overwrite with zeros: broken")) {
			t.Errorf("two failures: %v", err)
		}
	}
}

func TestOnceForASubsystem(t *testing.T) {
	s := &subsystem{}
	runs := 0
	run := func() error {
		runs++
		return errors.New(strings.Repeat("x", runs))
	}
	for _, test := range []struct {
		disk, want string
	}{{"n1", "x"}, {"n2", "x"}, {"n2", "xx"}, {"n1", "xx"}, {"n3", "xx"}, {"n1", "xxx"}} {
		if err := s.once("sanitize", test.disk, run); err.Error() != test.want {
			t.Errorf("for %s: %v, want %s", test.disk, err, test.want)
		}
	}
	if err := s.once("format", "n1", run); err.Error() != "xxxx" {
		t.Errorf("another method: %v", err)
	}
	// n4 could not even begin the last time; it is not to have what came of that.
	e, _, _ := on(t, "nvme-plain", facts{transport: nvme, namespace: 4})
	e.subsystem = s
	if err := e.resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.once("sanitize", "n4", run); err.Error() != "xxxxx" {
		t.Errorf("in the next erase: %v", err)
	}
}
