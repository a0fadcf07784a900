package core_test

import (
	"slices"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func TestIdentityKeys(t *testing.T) {
	macs := []string{"52:54:00:00:00:01", "52:54:00:00:00:02"}
	byMAC := []string{"mac 52:54:00:00:00:01", "mac 52:54:00:00:00:02"}
	for name, c := range map[string]struct {
		in   core.Identity
		want []string
	}{
		"both":                  {core.Identity{UUID: "4C4C4544-0038-4D10-8053-B7C04F4B3232", Serial: "8m8sk22", MACs: macs}, []string{"uuid 4c4c454400384d108053b7c04f4b3232", "serial 8M8SK22"}},
		"uuid alone":            {core.Identity{UUID: "{30373237-3132-4d32-3237-343930314233}", MACs: macs}, []string{"uuid 3037323731324d323237343930314233"}},
		"serial alone":          {core.Identity{UUID: "not a uuid", Serial: " CZ27  4901B3 ", MACs: macs}, []string{"serial CZ27 4901B3"}},
		"zeros":                 {core.Identity{UUID: "00000000-0000-0000-0000-000000000000", Serial: "0000000", MACs: macs}, byMAC},
		"all F":                 {core.Identity{UUID: "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", Serial: "XXXXXXXX", MACs: macs}, byMAC},
		"AMI":                   {core.Identity{UUID: "03000200-0400-0500-0006-000700080009", Serial: "To Be Filled By O.E.M.", MACs: macs}, byMAC},
		"default string":        {core.Identity{Serial: "Default string", MACs: macs}, byMAC},
		"digits":                {core.Identity{Serial: "0123456789", MACs: macs}, byMAC},
		"none":                  {core.Identity{Serial: "None", MACs: macs}, byMAC},
		"system serial":         {core.Identity{Serial: "System Serial Number", MACs: macs}, byMAC},
		"not specified":         {core.Identity{Serial: "Not Specified", MACs: macs}, byMAC},
		"dots":                  {core.Identity{Serial: "..........", MACs: macs}, byMAC},
		"MACs in other letters": {core.Identity{MACs: []string{"52-54-00-AA-00-01"}}, []string{"mac 52:54:00:aa:00:01"}},
		"MACs of nothing":       {core.Identity{MACs: []string{"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "junk", ""}}, nil},
		"nothing":               {core.Identity{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.in.Keys(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestEndpointHost(t *testing.T) {
	for in, want := range map[string]string{
		"https://bmc-1":                  "bmc-1:443",
		"https://BMC-1.Example.:443/":    "bmc-1.example:443",
		"http://10.0.0.1/redfish/v1":     "10.0.0.1:80",
		"https://[FE80:0:0::1]":          "[fe80::1]:443",
		"https://[::ffff:10.0.0.1]:8443": "10.0.0.1:8443",
		"HTTPS://user@10.0.0.1":          "10.0.0.1:443",
		"not a url at all":               "not a url at all",
	} {
		if got := (core.Endpoint{URL: in}).Host(); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
