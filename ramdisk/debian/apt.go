package debian

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apt is a package manager of our own: it installs nothing, needs no root, and
// leaves the machine's lists and cache alone.
type apt struct {
	options []string
}

// newApt keeps what it fetches below dir.
func newApt(dir, sources string) (*apt, error) {
	for _, sub := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	list := filepath.Join(dir, "debian.sources")
	if err := os.WriteFile(list, []byte(sources), 0o644); err != nil {
		return nil, err
	}
	settings := []string{
		"Dir::Etc::SourceList=" + list,
		"Dir::Etc::SourceParts=-",
		"Dir::State::Lists=" + filepath.Join(dir, "lists"),
		"Dir::State::Status=/dev/null", // nothing is installed
		"Dir::Cache=" + dir,
		"Dir::Cache::Archives=" + filepath.Join(dir, "archives"),
		"APT::Architecture=amd64",
		"APT::Architectures=amd64",
		"APT::Sandbox::User=root", // another user may not write to our folder
		"APT::Update::Error-Mode=any",
		"Acquire::Retries=3",
		"Acquire::Languages=none",
	}
	a := &apt{}
	for _, s := range settings {
		a.options = append(a.options, "-o", s)
	}
	return a, nil
}

func (a *apt) run(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, append(a.options[:len(a.options):len(a.options)], args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

func (a *apt) update(ctx context.Context) error {
	_, err := a.run(ctx, "", "apt-get", "-qq", "update")
	return err
}

var errUnknown = errors.New("the sources have no such package")

// candidate returns the fields of the version that would be installed.
func (a *apt) candidate(ctx context.Context, name string) (map[string]string, error) {
	out, err := a.run(ctx, "", "apt-cache", "--no-all-versions", "show", name)
	if err != nil {
		return nil, fmt.Errorf("%w: %s (%w)", errUnknown, name, err)
	}
	fields := map[string]string{}
	for scanner := bufio.NewScanner(bytes.NewReader(out)); scanner.Scan(); {
		if key, value, ok := strings.Cut(scanner.Text(), ": "); ok && !strings.HasPrefix(key, " ") {
			fields[key] = value
		}
	}
	if fields["Version"] == "" || fields["SHA256"] == "" {
		return nil, fmt.Errorf("%w: %s", errUnknown, name)
	}
	return fields, nil
}

// download puts the package's file into dir and returns its path. apt checks it
// against the signed lists.
func (a *apt) download(ctx context.Context, dir, name, version string) (string, error) {
	work, err := os.MkdirTemp(dir, "download-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if _, err := a.run(ctx, work, "apt-get", "-qq", "download", name+"="+version); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("apt-get download %s=%s left %d packages", name, version, len(files))
	}
	path := filepath.Join(dir, filepath.Base(files[0]))
	return path, os.Rename(files[0], path)
}
