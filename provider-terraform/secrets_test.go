//go:build linux

package main_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// secrets are all that were used, by what they are.
type secrets map[string]string

// TestSecretsStayOut takes a rack and a machine, is killed in the middle, goes on through a
// server, deploys anew and gives back. Nothing that Terraform or the provider write on the
// way has any of the secrets of it: neither state, plan, the most talkative log nor what a
// dying provider prints, and neither does the list of processes.
func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	r := bareRig(t, 1)
	there := r.Lab.Rack().Nodes[0]
	if _, err := r.Engine(t).AddImage(t.Context(), core.Image{Name: "lab", Source: r.image("lab"), Arch: "amd64", User: "debian"}, nil); err != nil {
		t.Fatal(err)
	}
	r.manage(t, core.ManageAlways)
	used := secrets{"the BMC's password": there.BMC.Password, "user data": "pssst-s3cret-word", "the next user data": "another-s3cret-word", "the pool's key": r.poolKey(t)}

	there.BMC.Password = "PASSWORD"
	node := strings.Replace(nodeBlock("metalpool_node.n1", there, "erase = true", "wait_clean = true"), `"PASSWORD"`, "var.bmc_password", 1)
	config := func(version int) string {
		return "provider \"metalpool\" {\n  token = var.token\n}\n" + ephemeralVariable("token") + ephemeralVariable("bmc_password") + ephemeralVariable("word") + node +
			machineBlock("web-1", "node = metalpool_node.n1.id", "user_data_wo = \"#cloud-config\\npassword: ${var.word}\\n\"", fmt.Sprintf("user_data_wo_version = %d", version), `allow_redeploy = ["user_data_wo_version"]`)
	}
	w := r.newWork(t, config(1))
	w.settings = append(w.settings, "TF_LOG=trace", "TF_LOG_PATH="+filepath.Join(w.dir, "trace.log"), "GOTRACEBACK=all",
		"TF_VAR_bmc_password="+used["the BMC's password"], "TF_VAR_word="+used["user data"])
	var said bytes.Buffer
	run := func(args ...string) { said.WriteString(w.run(t, args...)) }
	run("plan", "-out=plan.bin")

	cmd, out, before := w.begin(t, "web-1")
	r.unseal(t, before.ID, used)
	lines := processes(t, cmd.Process.Pid)
	for _, pid := range children(t, cmd.Process.Pid) {
		kill(t, pid, syscall.SIGQUIT) // it prints what all its goroutines do
	}
	if err := cmd.Wait(); err == nil {
		t.Errorf("an apply without its provider succeeds\n%s", out)
	}
	said.Write(out.Bytes())

	s := r.Serve(t, &metalpool)
	used["the token"] = s.Token
	r.lapse(t, before.Node)
	for _, setting := range s.Settings() {
		if !strings.HasPrefix(setting, "METALPOOL_TOKEN=") {
			w.settings = append(w.settings, setting)
		}
	}
	w.settings = append(w.settings, "TF_VAR_token="+s.Token)
	run("apply", "-auto-approve")
	made := r.named(t, "web-1")
	w.settings = append(w.settings, "TF_VAR_word="+used["the next user data"])
	w.write(t, config(2))
	run("plan", "-out=plan-2.bin")
	run("apply", "-auto-approve")
	r.unseal(t, made.ID, used)
	again := r.named(t, "web-1")
	if before.ID != made.ID || made.ID != again.ID || made.Node != again.Node || slices.Equal(made.Access.HostKeys, again.Access.HostKeys) {
		t.Errorf("it was\n%+v, gone on with to\n%+v, and deployed anew to\n%+v", before, made, again)
	}
	run("show", "-json")
	run("destroy", "-auto-approve")

	for _, name := range []string{"the BMC's password", "user data", "the pool's key", "the token", "the SSH host keys 0", "the management key", "the ramdisk's token", "the ramdisk's key"} {
		if len(used[name]) < 12 {
			t.Errorf("%s was not there to be looked for: %d bytes", name, len(used[name]))
		}
	}
	used.scan(t, "what terraform prints", said.Bytes(), "Apply complete!")
	used.scan(t, "the processes' arguments", lines, "terraform-provider-metalpool")
	used.scan(t, "the log", w.read(t, "trace.log"), "SIGQUIT: quit", "goroutine 1 ", "boot ramdisk", there.BMC.URL)
	used.scan(t, "the state", w.read(t, "terraform.tfstate"), `"resources"`)
	used.scan(t, "the state before", w.read(t, "terraform.tfstate.backup"), string(made.ID))
	for _, plan := range []string{"plan.bin", "plan-2.bin"} {
		used.scan(t, plan, unzip(t, filepath.Join(w.dir, plan)), "var.bmc_password", there.BMC.URL)
	}
}

func ephemeralVariable(name string) string {
	return fmt.Sprintf("variable %q {\n  type      = string\n  default   = null\n  ephemeral = true\n}\n", name)
}

// scan looks for each secret, in the ways in which it could have been written. What it
// looks through must have something else that belongs there.
func (s secrets) scan(t *testing.T, where string, text []byte, has ...string) {
	t.Helper()
	for _, word := range has {
		if !bytes.Contains(text, []byte(word)) {
			t.Errorf("%s does not have %q: was it there to be looked through?", where, word)
		}
	}
	for name, secret := range s {
		for _, form := range forms(secret) {
			if at := bytes.Index(text, []byte(form)); at >= 0 {
				t.Errorf("%s has %s, after %q", where, name, text[max(0, at-80):at])
			}
		}
	}
}

// forms are a secret as it is, in JSON, in hexadecimal digits, and in base64, wherever in
// what is encoded it stands.
func forms(secret string) []string {
	all := []string{secret, hex.EncodeToString([]byte(secret))}
	if text, err := json.Marshal(secret); err == nil {
		all = append(all, string(text[1:len(text)-1]))
	}
	for before := range 3 {
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), secret...))
		all = append(all, text[(before*8+5)/6:len(text)-1]) // the characters that have bits of the secret alone
	}
	return all
}

// TestForms holds that a secret is found however it was written.
func TestForms(t *testing.T) {
	t.Parallel()
	const secret = "a \"quoted\" secret\n"
	for i := range 6 {
		around := strings.Repeat("x", i)
		for name, text := range map[string]string{
			"plain": around + secret + around, "json": fmt.Sprintf("%q", around+secret+around), "hex": hex.EncodeToString([]byte(around + secret + around)),
			"base64": base64.StdEncoding.EncodeToString([]byte(around + secret + around)),
		} {
			if !slices.ContainsFunc(forms(secret), func(form string) bool { return strings.Contains(text, form) }) {
				t.Errorf("%s, %d: not found in %s", name, i, text)
			}
			if slices.ContainsFunc(forms("another secret"), func(form string) bool { return strings.Contains(text, form) }) {
				t.Errorf("%s, %d: found in %s", name, i, text)
			}
		}
	}
}

func (w *work) read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// unzip is all that a plan has, since it is compressed.
func unzip(t *testing.T, path string) []byte {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	var all bytes.Buffer
	for _, file := range archive.File {
		content, err := file.Open()
		if err == nil {
			_, err = io.Copy(&all, content)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = content.Close()
	}
	return all.Bytes()
}

// processes are the command lines of a process and its children.
func processes(t *testing.T, pid int) []byte {
	t.Helper()
	var all []byte
	for _, pid := range append(children(t, pid), pid) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			t.Fatal(err)
		}
		all = append(append(all, line...), '\n')
	}
	return all
}

// poolKey is the key that all secrets of the pool are sealed with.
func (r *rig) poolKey(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(seal.FileOf(r.URL))
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(text), "AGE-SECRET-KEY-")
	if at < 0 {
		t.Fatal("the pool's key is not where it is looked for")
	}
	return strings.Fields(string(text[at:]))[0]
}

// unseal adds what the pool has sealed for a machine.
func (r *rig) unseal(t *testing.T, id core.AllocationID, to secrets) {
	t.Helper()
	key, err := seal.Load("", seal.FileOf(r.URL))
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), r.URL, sqlite.Options{KeyFingerprint: key.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	open := func(s core.Sealed) []byte {
		if len(s) == 0 {
			return nil
		}
		plain, err := key.Open(s)
		if err != nil {
			t.Error(err)
		}
		return plain
	}
	add := func(name string, private []byte) {
		if block, _ := pem.Decode(private); block != nil { // one line; those before it are public
			lines := strings.Split(strings.TrimSpace(string(private)), "\n")
			private = []byte(lines[max(1, len(lines)-3)])
		}
		if len(private) > 0 {
			to[name] = string(private)
		}
	}
	err = store.View(t.Context(), func(tx core.Tx) error {
		a, err := tx.Allocation(id)
		if err != nil {
			return err
		}
		if a.Login != nil {
			add("the management key", open(a.Login.Private))
		}
		for at, err := range tx.Attempts() {
			if err != nil {
				return err
			}
			if at.Allocation != id || !at.EndedAt.IsZero() {
				continue
			}
			var hostKeys []string
			if plain := open(at.HostKeys); plain != nil {
				if err := json.Unmarshal(plain, &hostKeys); err != nil {
					return err
				}
			}
			for i, key := range hostKeys {
				add(fmt.Sprintf("the SSH host keys %d", i), []byte(key))
			}
			if at.Login != nil {
				add("the management key while it is deployed", open(at.Login.Private))
			}
			if at.Boot != nil {
				var boot core.BootSecret
				if err := json.Unmarshal(open(at.Boot.Secret), &boot); err != nil {
					return err
				}
				add("the ramdisk's key", boot.Key)
				add("the ramdisk's token", []byte(boot.Token))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
