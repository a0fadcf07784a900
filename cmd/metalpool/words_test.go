package main

import (
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

func TestAge(t *testing.T) {
	now := time.Now()
	for ago, want := range map[time.Duration]string{
		-time.Second: "now", 0: "now", 59 * time.Second: "59s", 61 * time.Second: "1m", 47 * time.Hour: "47h", 49 * time.Hour: "2d",
	} {
		if got := age(now, now.Add(-ago)); got != want {
			t.Errorf("%s ago is %q, want %q", ago, got, want)
		}
	}
	if got := age(now, time.Time{}); got != "" {
		t.Errorf("never is %q", got)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "", time.Second: "1s", 40 * time.Minute: "40m", 48 * time.Hour: "48h", 90 * time.Minute: "1h30m", 10*time.Minute + time.Second: "10m1s", 100 * time.Minute: "1h40m",
	} {
		if got := core.FormatDuration(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestDiskSummary(t *testing.T) {
	disks := []core.Disk{
		{Size: 480_103_981_056, Kind: core.SSD}, {Size: 8_001_563_222_016, Kind: core.HDD}, {Size: 480_103_981_056, Kind: core.SSD},
		{Size: 16e9, Removable: true}, {Size: 4096},
	}
	if got, want := diskSummary(disks), "2x 480 GB ssd, 8 TB hdd, 4.1 kB"; got != want {
		t.Errorf("disks are %q, want %q", got, want)
	}
}

func TestPublicURL(t *testing.T) {
	for raw, want := range map[string]string{
		"/srv/images/debian.raw":              "/srv/images/debian.raw",
		"https://host/a?X-Signature=k":        "https://host/a?…",
		"https://user:secret@host:8443/a.raw": "https://host:8443/a.raw",
		"https://host/a.raw":                  "https://host/a.raw",
	} {
		if got := publicURL(raw); got != want {
			t.Errorf("publicURL(%q) = %q, want %q", raw, got, want)
		}
	}
}

// TestPeoplesLabels: what adapters note on a machine for themselves is not shown.
func TestPeoplesLabels(t *testing.T) {
	labels := map[string]string{"team": "web", core.AdapterLabels + "deployment": "dep-1"}
	if got := labelText(peoplesLabels(labels)); got != "team=web" {
		t.Errorf("shown are %s", got)
	}
	if len(labels) != 2 {
		t.Error("the machine's own labels were changed")
	}
}
