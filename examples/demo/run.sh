#!/usr/bin/env bash
# The main job on a virtual rack: the real docker-machine and the real terraform take
# servers of one pool through real Redfish, use them, and give them back erased. `make
# demo` builds and runs it.
#
#   IMAGE=disk.img make demo   lays down your own disk image
#   KEEP=1 make demo           leaves the rack's folder behind, to look at
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/demo/common.sh
. examples/demo/terraform.sh
export METALPOOL_OWNER=demo

step "A rack of eight servers, each with its own Redfish BMC"
start_lab --nodes 8
run metalpool lab status

step "Two images, and the servers: enrolled and erased before their first use"
image=${IMAGE:-}
if [ -z "$image" ]; then
	image="$work/demo.img"
	metalpool lab image "$image"
fi
run metalpool image add demo --source "$image" --user debian
run metalpool image add next --source "$image" --user debian
run metalpool pool set default --image demo
run metalpool node enroll --from "$work/lab/rack.yaml" --erase --wait
run metalpool node list

step "docker-machine creates three at once; one disk fails on the way, another server is taken"
make_ca
run metalpool lab fault add any write-error
creates=()
for name in ci-1 ci-2 ci-3; do
	show "docker-machine create -d metalpool $name &"
	docker-machine create -d metalpool "$name" &
	creates+=($!)
done
for pid in "${creates[@]}"; do wait "$pid"; done
run metalpool machine list
run metalpool node list

step "Use them: a command over SSH, then stop and start one"
run docker-machine ssh ci-1 hostname
run docker-machine stop ci-1
run docker-machine ls
run docker-machine start ci-1
run docker-machine ls

step "kill -9 in the middle of a create; rm cleans up after it, while the demo goes on"
show 'docker-machine create -d metalpool doomed &'
docker-machine create -d metalpool doomed >"$work/doomed.log" 2>&1 &
victim=$!
until metalpool node list --state Deploying 2>/dev/null | grep -q doomed; do
	kill -0 "$victim"
	sleep 0.1
done
show "pkill -KILL -P $victim; kill -KILL $victim # the plugin, then docker-machine"
{ # bash itself would say "Killed", at whichever of these lines it finds out
	pkill -KILL -P "$victim" || true
	kill -KILL "$victim"
	wait "$victim" || true
} 2>/dev/null
run metalpool machine list
show 'docker-machine rm -y doomed &'
docker-machine rm -y doomed &
removal=$!

step "Meanwhile $("$terraform" version | head -1) takes three of the same pool; of what it says, the lines that count"
run cp -r examples/terraform/fleet "$work"
run cd "$work/fleet"
show 'export TF_VAR_machines=3 TF_VAR_ssh_key="$MACHINE_STORAGE_PATH/machines/ci-1/id_rsa.pub"'
export TF_VAR_machines=3 TF_VAR_ssh_key="$MACHINE_STORAGE_PATH/machines/ci-1/id_rsa.pub"
tf init
tf apply -auto-approve
run metalpool machine list

step "The same again is nothing to do"
tf plan -detailed-exitcode

step "A new image for one machine: the same server, written anew"
tf apply -auto-approve -var image=next -target 'metalpool_machine.web[0]'
run metalpool machine list

step "Give everything back"
tf destroy -auto-approve
wait "$removal"
run docker-machine rm -y ci-1 ci-2 ci-3
run metalpool reconcile --wait
run metalpool node list
run metalpool check

cat <<EOT

Eight servers, none lost: each is Available and erased for its next owner, or Quarantined
with its reason. The one whose disk failed waits for its operator: look at it, then
'metalpool node repair' or 'metalpool node retire'. The BMCs, the Redfish, the SSH and the
disks' contents were real; the hardware and the Docker Engine were simulated.
EOT
