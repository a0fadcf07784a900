//go:build linux && vm

package main_test

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
	"github.com/metalpool/metalpool/internal/needs"
)

// stepsOfSession are a step of each phase, of all kinds that run something on the machine.
// docker-machine knows nothing of them.
const stepsOfSession = `
steps:
- name: look
  phase: prepare
  script:
    run: |
      set -e
      echo "$METALPOOL_NODE $METALPOOL_MACHINE $RACK $(id -u) $PWD"
      cat settings
      busybox | head -n 1 | awk '{print $1}'
    env: {RACK: "of {{.Pool}}"}
    files: {settings: "cache = on\n"}
- name: site
  cloud_init:
    config: |
      write_files:
      - {path: /etc/site.conf, content: "node = {{.Node.ID}}\n"}
      runcmd:
      - echo cloud-init >> /etc/told
- name: agent
  script:
    run: echo "$(cat words) $METALPOOL_NODE" >> /etc/told
    files: {words: script on}
- name: playbook
  repeatable: true
  ansible:
    playbook: |
      - hosts: all
        tasks:
        - lineinfile: {path: /etc/told, line: "ansible of {{ metalpool.Machine.Name }} on {{ ansible_distribution }}"}
- name: sign-off
  phase: release
  script: {run: "cat /etc/told /etc/site.conf"}
- name: burn-in
  phase: cleaned
  script:
    run: |
      for disk in nvme sd vd; do
        for dev in /dev/${disk}[a-z] /dev/${disk}[0-9]n[0-9]; do
          test ! -b $dev || echo "disk: $(head -c 1048576 $dev | tr -d '\0' | wc -c)"
        done
      done
profiles:
- {name: base, steps: [look, site, agent, playbook, sign-off, burn-in]}
pools:
- {name: default, profile: base, management_key: always}
`

// declareSteps has the rig's pool do steps, as its operator does.
func (r *rig) declareSteps(t *testing.T, file string) {
	t.Helper()
	needs.Program(t, "ansible-playbook", "ansible-core")
	rack, err := rackfile.Read("site.yaml", strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Engine(t).Apply(t.Context(), rack.Declaration, core.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
}

// said is what a node's steps have said, by their names, that which was said last.
func (r *rig) said(t *testing.T, node core.NodeID) map[string]string {
	t.Helper()
	events, err := r.Engine(t).Events(t.Context(), core.EventFilter{Node: node})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, ev := range events {
		if ev.Type == core.StepOutput {
			all[strings.TrimPrefix(ev.Step, "step ")] = ev.Message
		}
	}
	return all
}
