package core

import (
	"slices"
	"testing"
)

func TestThePortsThatAskForAnAddress(t *testing.T) {
	nics := []NIC{
		{MAC: "02:00:00:00:00:01", LinkUp: true},
		{MAC: "02:00:00:00:00:02"},
		{MAC: "02:00:00:00:00:03", LinkUp: true, Address: "10.0.0.3"},
	}
	for _, c := range []struct {
		agent string
		want  []string
	}{
		{"10.0.0.3", []string{"02:00:00:00:00:03", "02:00:00:00:00:01"}},
		{"192.0.2.1", []string{"02:00:00:00:00:01", "02:00:00:00:00:03"}}, // behind a translation
	} {
		if got := dhcpPorts(nics, c.agent); !slices.Equal(got, c.want) {
			t.Errorf("agent at %s: %v, want %v", c.agent, got, c.want)
		}
	}
	if got := dhcpPorts([]NIC{{MAC: "02:00:00:00:00:01"}}, "10.0.0.1"); got != nil {
		t.Errorf("without a link: %v", got)
	}
}
