package bootcfg

import (
	"path"
	"strings"
)

// entryStart chooses as systemd-boot does on a disk that it boots for the first time:
// no variable of the firmware has a say yet.
func entryStart(volumes []Volume) (Start, error) {
	var entries []entry
	wanted := ""
	for _, v := range volumes {
		found, err := readEntries(v.Files, "loader/entries", maxEntries-len(entries))
		if err != nil {
			return Start{}, err
		}
		entries = append(entries, found...)
		images, err := readImages(v.Files, maxEntries-len(entries))
		if err != nil {
			return Start{}, err
		}
		entries = append(entries, images...)
		if name, ok := lookup(v.Files, "loader/loader.conf"); ok && wanted == "" {
			text, err := readConfig(v.Files, name, maxSmall)
			if err != nil {
				return Start{}, err
			}
			for key, value := range settings(text) {
				if key == "default" {
					wanted = value
				}
			}
		}
	}
	var usable []entry
	for _, e := range entries {
		if e.runsHere() && e.hasKernel() {
			usable = append(usable, e)
		}
	}
	if len(usable) == 0 {
		return Start{}, errNothing
	}
	sortEntries(usable)
	return preferred(usable, wanted).start(asWritten, asWritten)
}

// preferred is the first entry that the pattern of loader.conf matches, with or
// without the suffix of a file name, as one version of systemd-boot or another has it.
func preferred(sorted []entry, pattern string) entry {
	pattern = strings.ToLower(pattern)
	for _, e := range sorted {
		for _, name := range []string{e.id, e.id + ".conf", path.Base(e.source)} {
			if ok, err := path.Match(pattern, strings.ToLower(name)); err == nil && ok {
				return e
			}
		}
	}
	return sorted[0]
}
