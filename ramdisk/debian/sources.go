package debian

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A source is where packages come from, as apt's configuration says it.
type source struct {
	uris, suites, components []string
	signedBy                 string
}

// machineSources reads the configuration of the machine's apt.
func machineSources() ([]source, error) {
	var sources []source
	for _, pattern := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if strings.HasSuffix(file, ".sources") {
				sources = append(sources, parseStanzas(string(text))...)
			} else {
				sources = append(sources, parseLines(string(text))...)
			}
		}
	}
	return sources, nil
}

// parseLines reads the one-line style: deb [options] uri suite components.
func parseLines(text string) []source {
	var sources []source
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		var s source
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			options, after, _ := strings.Cut(rest[1:], "]")
			for option := range strings.FieldsSeq(options) {
				if value, ok := strings.CutPrefix(option, "signed-by="); ok {
					s.signedBy = value
				}
			}
			rest = after
		}
		fields := strings.Fields(rest)
		if len(fields) < 3 {
			continue
		}
		s.uris, s.suites, s.components = fields[:1], fields[1:2], fields[2:]
		sources = append(sources, s)
	}
	return sources
}

// parseStanzas reads the deb822 style. A key that was put into the file itself is
// of no use to us: it is a list of lines.
func parseStanzas(text string) []source {
	var sources []source
	for stanza := range strings.SplitSeq(text, "\n\n") {
		fields := map[string]string{}
		for line := range strings.Lines(stanza) {
			if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, " ") {
				fields[strings.ToLower(key)] = strings.TrimSpace(value)
			}
		}
		if !slices.Contains(strings.Fields(fields["types"]), "deb") || fields["enabled"] == "no" {
			continue
		}
		sources = append(sources, source{
			uris: strings.Fields(fields["uris"]), suites: strings.Fields(fields["suites"]),
			components: strings.Fields(fields["components"]), signedBy: fields["signed-by"],
		})
	}
	return sources
}

// withFirmware narrows the sources down to Debian's of that release, and adds the
// component that has the firmware which hardware wants to be given.
func withFirmware(sources []source, codename string) (string, error) {
	var text strings.Builder
	for _, s := range sources {
		ofRelease := slices.ContainsFunc(s.suites, func(suite string) bool {
			return suite == codename || strings.HasPrefix(suite, codename+"-") || strings.HasPrefix(suite, codename+"/")
		})
		ofDebian := slices.ContainsFunc(s.uris, func(uri string) bool { return strings.Contains(uri, "debian") })
		if !ofRelease || !ofDebian || !slices.Contains(s.components, "main") {
			continue
		}
		fmt.Fprintf(&text, "Types: deb\nURIs: %s\nSuites: %s\nComponents: main non-free-firmware\n",
			strings.Join(s.uris, " "), strings.Join(s.suites, " "))
		if s.signedBy != "" {
			fmt.Fprintf(&text, "Signed-By: %s\n", s.signedBy)
		}
		text.WriteString("\n")
	}
	if text.Len() == 0 {
		return "", errors.New("this machine's apt has no sources of Debian " + codename)
	}
	return text.String(), nil
}

// codename of the machine's release.
func codename() (string, error) {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			fields[key] = strings.Trim(value, `"`)
		}
	}
	if fields["ID"] != "debian" || fields["VERSION_CODENAME"] == "" {
		return "", fmt.Errorf("this machine runs %s, and packages are fetched on Debian only", fields["PRETTY_NAME"])
	}
	return fields["VERSION_CODENAME"], nil
}
