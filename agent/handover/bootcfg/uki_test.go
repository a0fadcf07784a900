package bootcfg

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"testing"
	"testing/fstest"
)

// program is an EFI program of sections, each larger in the file than what it holds.
func program(sections ...[2]string) []byte {
	const headers, section = 64 + 4 + 20, 40
	head := make([]byte, headers, 4096)
	copy(head, "MZ")
	binary.LittleEndian.PutUint32(head[60:], 64)
	copy(head[64:], "PE\x00\x00\x64\x86")
	binary.LittleEndian.PutUint16(head[70:], uint16(len(sections)))
	var body []byte
	at := 512 * ((headers + section*len(sections) + 511) / 512)
	for _, s := range sections {
		entry := make([]byte, section)
		copy(entry, s[0])
		padded := (len(s[1]) + 511) / 512 * 512
		binary.LittleEndian.PutUint32(entry[8:], uint32(len(s[1])))
		binary.LittleEndian.PutUint32(entry[16:], uint32(padded))
		binary.LittleEndian.PutUint32(entry[20:], uint32(at+len(body)))
		head = append(head, entry...)
		body = append(body, s[1]...)
		body = append(body, make([]byte, padded-len(s[1]))...)
	}
	return append(append(head, make([]byte, at-len(head))...), body...)
}

func read(t *testing.T, f File) string {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil || r.Close() != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestUnifiedKernelImages(t *testing.T) {
	image := func(version, kernel string) *fstest.MapFile {
		return &fstest.MapFile{Data: program(
			[2]string{".osrel", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux\"\nVERSION_ID=" + version + "\n"},
			[2]string{".cmdline", "root=LABEL=root ro\n\x00"}, [2]string{".initrd", "initrd"}, [2]string{".ucode", "microcode"}, [2]string{".linux", kernel})}
	}
	files := fstest.MapFS{
		"EFI/Linux/debian-6.1.9.efi":    image("12", "kernel 9"),
		"EFI/Linux/debian-6.1.10+3.efi": image("12", "kernel 10"),
		"EFI/Linux/old.efi":             image("9", "kernel 8"),
		"EFI/Linux/memtest.efi":         {Data: program([2]string{".text", "x"})},
		"EFI/Linux/broken.efi":          {Data: []byte("MZ")},
		"loader/entries/by-entry.conf":  {Data: []byte("title T\nsort-key a\nuki /EFI/Linux/old.efi\n")},
	}
	volumes := []Volume{{Name: "esp", Number: 1, ESP: true, Files: files}}
	for _, test := range []struct {
		config string
		want   []string
	}{
		{"", []string{"T", "loader/entries/by-entry.conf", "kernel 8"}},
		{"default debian-*", []string{"Debian GNU/Linux", "EFI/Linux/debian-6.1.10+3.efi", "kernel 10"}},
	} {
		files["loader/loader.conf"] = &fstest.MapFile{Data: []byte(test.config)}
		s, err := Choose(volumes)
		if err != nil {
			t.Fatal(err)
		}
		if got := []string{s.Title, s.Source, read(t, s.Kernel)}; !slices.Equal(got, test.want) {
			t.Errorf("chosen is %q, want %q", got, test.want)
		}
		if len(s.Initrds) != 2 || read(t, s.Initrds[0]) != "microcode" || read(t, s.Initrds[1]) != "initrd" || s.Cmdline != "root=LABEL=root ro" {
			t.Errorf("with %+v and %q", s.Initrds, s.Cmdline)
		}
	}
}

func FuzzImage(f *testing.F) {
	f.Add(program([2]string{".linux", "kernel"}, [2]string{".cmdline", "ro"}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		s, err := Choose([]Volume{{Files: fstest.MapFS{"EFI/Linux/a.efi": {Data: b}}}})
		if err != nil {
			return
		}
		if r, err := s.Kernel.Open(); err == nil {
			_, _ = io.Copy(&bytes.Buffer{}, io.LimitReader(r, 1<<20))
		}
	})
}
