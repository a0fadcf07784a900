package bootcfg

import (
	"cmp"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
)

// known are the volumes that trees are of, as their partitions are.
var known = []Volume{
	{Name: "esp", Number: 1, UUID: "7B77-95E7", Label: "ESP", ESP: true},
	{Name: "boot", Number: 2, UUID: "8e0d0c6b-2b9d-4e24-8a27-5f6c3e0b9d11"},
	{Name: "root", Number: 3, UUID: "f1d62b4e-1f5c-4a08-9d5a-3c1b2a594e6d", Label: "cloudimg-rootfs"},
	{Name: "usr", Number: 4},
	{Name: "oem", Number: 6, Label: "OEM"},
}

// tree reads a disk's files: the first part of a name is the volume's.
func tree(t testing.TB, text []byte) []Volume {
	t.Helper()
	files := map[string]fstest.MapFS{}
	for _, f := range txtar.Parse(text).Files {
		volume, name, _ := strings.Cut(f.Name, "/")
		if files[volume] == nil {
			files[volume] = fstest.MapFS{}
		}
		files[volume][name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	var volumes []Volume
	for _, v := range known {
		if files[v.Name] != nil {
			v.Files = files[v.Name]
			volumes = append(volumes, v)
		}
	}
	if len(volumes) != len(files) {
		t.Fatalf("of the volumes %v some are unknown", files)
	}
	return volumes
}

func recorded(t testing.TB, name string) []Volume {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return tree(t, txtar.Format(a))
}

func paths(files []File) string {
	var all []string
	for _, f := range files {
		all = append(all, f.Path)
	}
	return strings.Join(all, " ")
}

const machine = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

func TestChoose(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the trees are of amd64")
	}
	for _, test := range []struct {
		name                                           string
		title, source, kernel, initrd, cmdline, loader string
	}{
		{
			"debian-12", "Debian GNU/Linux", "/boot/grub/grub.cfg", "/boot/vmlinuz-6.1.0-42-amd64", "/boot/initrd.img-6.1.0-42-amd64",
			"BOOT_IMAGE=/boot/vmlinuz-6.1.0-42-amd64 root=UUID=f1d62b4e-1f5c-4a08-9d5a-3c1b2a594e6d ro console=ttyS0 quiet", "EFI/debian/shimx64.efi",
		},
		{
			"ubuntu-22.04", "Ubuntu", "/boot/grub/grub.cfg", "/boot/vmlinuz-5.15.0-130-generic", "/boot/initrd.img-5.15.0-130-generic",
			"BOOT_IMAGE=/boot/vmlinuz-5.15.0-130-generic root=PARTUUID=a0d2c8a5-5a6e-4d39-9b0a-77e8a8b1c0de ro console=tty1 console=ttyS0", "EFI/ubuntu/shimx64.efi",
		},
		{
			"ubuntu-24.04", "Ubuntu", "/grub/grub.cfg", "/vmlinuz-6.8.0-51-generic", "/initrd.img-6.8.0-51-generic",
			"BOOT_IMAGE=/vmlinuz-6.8.0-51-generic root=LABEL=cloudimg-rootfs ro console=tty1 console=ttyS0", "EFI/ubuntu/shimx64.efi",
		},
		{
			"rocky-9", "Rocky Linux (5.14.0-427.13.1.el9_4.x86_64)", "loader/entries/" + machine + "-5.14.0-427.13.1.el9_4.x86_64.conf",
			"/vmlinuz-5.14.0-427.13.1.el9_4.x86_64", "/initramfs-5.14.0-427.13.1.el9_4.x86_64.img",
			"BOOT_IMAGE=/vmlinuz-5.14.0-427.13.1.el9_4.x86_64 root=UUID=f1d62b4e-1f5c-4a08-9d5a-3c1b2a594e6d ro console=ttyS0,115200n8 no_timer_check net.ifnames=0 crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M", "EFI/rocky/shimx64.efi",
		},
		{
			"fedora-41", "Fedora Linux (6.11.4-301.fc41.x86_64)", "loader/entries/" + machine + "-6.11.4-301.fc41.x86_64.conf",
			"/vmlinuz-6.11.4-301.fc41.x86_64", "/initramfs-6.11.4-301.fc41.x86_64.img",
			"BOOT_IMAGE=/vmlinuz-6.11.4-301.fc41.x86_64 root=UUID=f1d62b4e-1f5c-4a08-9d5a-3c1b2a594e6d ro rootflags=subvol=root rhgb quiet", "EFI/fedora/shimx64.efi",
		},
		{
			"systemd-boot", "Debian GNU/Linux 12 (bookworm)", "loader/entries/" + machine + "-6.1.0-42-amd64.conf",
			"/" + machine + "/6.1.0-42-amd64/linux", "/" + machine + "/6.1.0-42-amd64/initrd.img-6.1.0-42-amd64",
			"root=PARTUUID=a0d2c8a5-5a6e-4d39-9b0a-77e8a8b1c0de ro console=tty0 console=ttyS0", "EFI/systemd/systemd-bootx64.efi",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			volumes := recorded(t, test.name)
			s, err := Choose(volumes)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{s.Title, s.Source, s.Kernel.Path, paths(s.Initrds), s.Cmdline}
			want := []string{test.title, test.source, test.kernel, test.initrd, test.cmdline}
			if !slices.Equal(got, want) {
				t.Errorf("chosen is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if loader, err := Loader(volumes[0].Files); err != nil || loader != test.loader {
				t.Errorf("firmware starts %q (%v), want %s", loader, err, test.loader)
			}
			r, err := s.Kernel.Open()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil || !strings.HasPrefix(string(b), "kernel") || r.Close() != nil {
				t.Errorf("the kernel is %q (%v)", b, err)
			}
		})
	}
}

func TestWhatIsNotFoundIsExplained(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"an empty disk", "-- root/etc/os-release --\nID=debian\n", "there is no grub.cfg; there is no boot loader entry or unified kernel image"},
		{"no kernel", "-- root/boot/grub/grub.cfg --\nmenuentry x {\nlinux /boot/vmlinuz root=/dev/vda1\n}\n", `boot/grub/grub.cfg of root: "x" starts no kernel of this disk: there is no /boot/vmlinuz`},
		{"an unknown command", "-- root/boot/grub/grub.cfg --\nmenuentry x {\ngptprio.next -d usr -u id\nif [ $id = 1 ]; then linux /a; fi\n}\n", "not known here: gptprio.next"},
		{"no menu", "-- root/boot/grub/grub.cfg --\nset timeout=1\n", "the menu is empty"},
		{"no initrd", "-- root/loader/entries/a.conf --\nlinux /k\ninitrd /i\n-- root/k --\n", `"a" needs /i, which cannot be read`},
		{"not a script", "-- root/boot/grub/grub.cfg --\nif true; then\n", "the script ends where fi is wanted"},
		{"a loop", "-- root/boot/grub/grub.cfg --\nwhile true; do true; done\n", "does not end"},
		{"a function that calls itself", "-- root/boot/grub/grub.cfg --\nfunction f {\nf\n}\nf\n", "does not end"},
		{"a file that runs itself", "-- root/boot/grub/grub.cfg --\nsource /boot/grub/grub.cfg\n", "runs itself"},
		{"a variable that doubles itself", "-- root/boot/grub/grub.cfg --\nv=xxxxxxxx\nwhile true; do v=$v$v; done\n", "does not end"},
		{"deep", "-- root/boot/grub/grub.cfg --\n" + strings.Repeat("if true; then\n", 100), "deeper than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if s, err := Choose(tree(t, []byte(test.text))); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%+v, %v, want %s", s, err, test.want)
			}
		})
	}
	if s, err := Choose(recorded(t, "flatcar")); err == nil || !strings.Contains(err.Error(), "there is no grub.cfg; there is no boot loader entry") {
		t.Errorf("flatcar: %+v, %v", s, err)
	}
}

func TestGrubLanguage(t *testing.T) {
	for _, test := range []struct {
		name, script, want string
	}{
		{"words", `linux /k a'b c'd "e  $x" \$x ${x}y$x`, `"ab cd" "e  1 2" $x 1 2y1 2`},
		{"an empty variable is no word", `linux /k $none "$none" z`, " z"},
		{"one command a line", "linux /k a; linux /k b # c\n", "b"},
		{"a line goes on", "linux /k a \\\n b", "a b"},
		{"else", "if [ 1 = 2 ]; then linux /k a; elif [ -z x -o -n y ]\nthen linux /k b\nelse linux /k c; fi", "b"},
		{"else alone", "if false; then linux /k a; else linux /k b; fi", "b"},
		{"not, and, brackets", "if [ ! ( 1 -lt 0 ) -a ! -f /nothing -a -s /k ]; then linux /k a; fi", "a"},
		{"files", "if [ -d /loader -a -e /k -a ! -d /k -a ! -f /loader ]; then linux /k a; fi", "a"},
		{"for", "for i in a b $x; do v=$v$i; done; linux /k $v", "ab12"},
		{"until", "until [ x$v = xaa ]; do v=a$v; done; linux /k $v", "aa"},
		{"a function", "function f {\nlinux /k $1 $#\nreturn 0\nlinux /k no\n}\nf a b", "a 2"},
		{"the default by its title", "set default='two'\nmenuentry one {\nlinux /k 1\n}\nmenuentry 'two' {\nlinux /k 2\n}", "2"},
		{"the default by its identifier", "set default=c\nmenuentry one --id=b {\nlinux /k 1\n}\nmenuentry one --class x --id c {\nlinux /k 2\n}", "2"},
		{"the default in a submenu", "set default='more>1'\nmenuentry one {\nlinux /k 1\n}\nsubmenu two --id more {\nmenuentry x {\nlinux /k 2\n}\nmenuentry y {\nlinux /k 3\n}\n}", "3"},
		{"a default that is gone", "set default=9\nmenuentry one {\nlinux /k 1\n}", "1"},
		{"the environment", "load_env -f /env kept\nlinux /k $kept$other", "yes"},
		{"a volume by label", "search --no-floppy --label --set=there cloudimg-rootfs\nlinux ($there)/k $there", "hd0,gpt3"},
		{"a volume by file", "search.file /k there\nlinux ($there)/k $there", "hd0,gpt3"},
		{"a volume that is not ours", "if search --fs-uuid --set=there ffff; then linux /k a; else linux /k b; fi", "b"},
		{"quotes for the kernel", `linux /k "dyndbg=file x +p" a\"b`, `"dyndbg=file x +p" a\"b`},
	} {
		t.Run(test.name, func(t *testing.T) {
			volumes := tree(t, []byte("-- root/boot/grub/grub.cfg --\nx=\"1 2\"\n"+test.script+"\n-- root/k --\nkernel\n-- root/loader/x --\n-- root/env --\n# GRUB Environment Block\nkept=yes\nother=no\n"))
			s, err := Choose(volumes)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimPrefix(s.Cmdline, "BOOT_IMAGE=/k "); got != test.want && strings.TrimPrefix(got, "BOOT_IMAGE=(hd0,gpt3)/k ") != test.want {
				t.Errorf("the command line is %q, want %q", got, test.want)
			}
		})
	}
}

func TestSystemdBootOrder(t *testing.T) {
	entry := func(name, more string) string { return "-- esp/loader/entries/" + name + ".conf --\nlinux /k\n" + more }
	for _, test := range []struct {
		name, text, want string
	}{
		{"the newest by version", entry("a", "sort-key x\nversion 6.1.9\n") + entry("b", "sort-key x\nversion 6.1.10\n"), "b"},
		{"the newest by name", entry("x-6.9", "") + entry("x-6.10", ""), "x-6.10"},
		{"with a sort key first", entry("z", "") + entry("a", "sort-key x\n"), "a"},
		{"those tried in vain last", entry("x-2+0-3", "") + entry("x-1+2-1", ""), "x-1"},
		{"of another architecture never", entry("x-2", "architecture riscv64\n") + entry("x-1", ""), "x-1"},
		{"as loader.conf has it", entry("x-2", "") + entry("x-1", "") + "-- esp/loader/loader.conf --\ndefault x-1*\n", "x-1"},
		{"as loader.conf has it in full", entry("x-2", "") + entry("x-1", "") + "-- esp/loader/loader.conf --\ndefault x-1.conf\n", "x-1"},
		{"loader.conf names none", entry("x-2", "") + entry("x-1", "") + "-- esp/loader/loader.conf --\ndefault y\n", "x-2"},
		{"what is no kernel never", "-- esp/loader/entries/z.conf --\nefi /shell.efi\n" + entry("x-1", ""), "x-1"},
	} {
		s, err := Choose(tree(t, []byte(test.text+"-- esp/k --\nkernel\n")))
		if err != nil || s.Title != test.want {
			t.Errorf("%s: %q, %v, want %s", test.name, s.Title, err, test.want)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	sorted := []string{"", "~rc1", "122.1", "123~rc1-1", "123", "123-a", "123-a.1", "123-1", "123-1.1", "123^post1", "123.a-1", "123.1-1", "123a-1", "124-1", "6.1.0-9", "6.1.0-10"}
	for i, a := range sorted[:14] {
		for j, b := range sorted[:14] {
			if got := compareVersions(a, b); cmp.Compare(got, 0) != cmp.Compare(i, j) && (a != "" && b != "~rc1" && a != "~rc1" && b != "") {
				t.Errorf("%q against %q is %d", a, b, got)
			}
		}
	}
	if compareVersions("6.1.0-9", "6.1.0-10") >= 0 || compareVersions("1.00", "1.0") != 0 || compareVersions("", "~rc1") <= 0 {
		t.Error("numbers are not compared as numbers")
	}
}

func TestLoader(t *testing.T) {
	for _, test := range []struct {
		files []string
		want  string
	}{
		{[]string{"efi/boot/bootx64.efi"}, "efi/boot/bootx64.efi"},
		{[]string{"EFI/BOOT/BOOTX64.EFI", "EFI/debian/grubx64.efi"}, "EFI/debian/grubx64.efi"},
		{[]string{"EFI/BOOT/BOOTX64.EFI", "EFI/a/grubx64.efi", "EFI/b/shimx64.efi"}, "EFI/b/shimx64.efi"},
		{[]string{"EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"}, "EFI/systemd/systemd-bootx64.efi"},
		{[]string{"EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi", "EFI/debian/grub.cfg"}, "EFI/BOOT/BOOTX64.EFI"},
		{[]string{"EFI/BOOT/BOOTRISCV64.EFI"}, ""},
		{nil, ""},
	} {
		if runtime.GOARCH != "amd64" {
			t.Skip("the trees are of amd64")
		}
		files := fstest.MapFS{}
		for _, f := range test.files {
			files[f] = &fstest.MapFile{}
		}
		if got, err := Loader(files); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("of %q firmware starts %q (%v), want %q", test.files, got, err, test.want)
		}
	}
}

func FuzzChoose(f *testing.F) {
	for _, name := range []string{"debian-12", "ubuntu-22.04", "rocky-9"} {
		for _, v := range recorded(f, name) {
			for _, file := range []string{"boot/grub/grub.cfg", "grub/grub.cfg", "grub2/grub.cfg"} {
				if text, err := readConfig(v.Files, file, maxConfig); err == nil {
					f.Add(text, "title x\nlinux /k\n")
				}
			}
		}
	}
	f.Fuzz(func(_ *testing.T, script, entry string) {
		files := fstest.MapFS{"boot/grub/grub.cfg": {Data: []byte(script)}, "loader/entries/a.conf": {Data: []byte(entry)}, "k": {}}
		_, _ = Choose([]Volume{{Name: "root", Number: 3, Files: files, ESP: true}})
	})
}
