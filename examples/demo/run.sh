#!/usr/bin/env bash
# The main job on a virtual rack: the real docker-machine takes servers through real
# Redfish, uses them, and gives them back erased. `make demo` builds and runs it.
#
#   IMAGE=disk.img make demo   lays down your own disk image
#   KEEP=1 make demo           leaves the rack's folder behind, to look at
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/demo/common.sh

step "A rack of six servers, each with its own Redfish BMC"
start_lab --nodes 6
run metalpool lab status

step "An image, and the servers: enrolled and erased before their first use"
image=${IMAGE:-}
if [ -z "$image" ]; then
	image="$work/demo.img"
	metalpool lab image "$image"
fi
run metalpool image add demo --source "$image" --user debian
run metalpool pool set default --image demo
run metalpool node enroll --from "$work/lab/rack.yaml" --erase --wait
run metalpool node list

step "docker-machine creates three at once; one disk fails on the way, another server is taken"
make_ca
run metalpool lab fault add any write-error
creates=()
for name in web-1 web-2 web-3; do
	show docker-machine create -d metalpool "$name" '&'
	docker-machine create -d metalpool "$name" &
	creates+=($!)
done
for pid in "${creates[@]}"; do wait "$pid"; done
run metalpool machine list
run metalpool node list

step "Use them: a command over SSH, then stop and start one"
run docker-machine ssh web-1 hostname
run docker-machine stop web-1
run docker-machine ls
run docker-machine start web-1
run docker-machine ls

step "kill -9 in the middle of a create; rm cleans up after it"
show docker-machine create -d metalpool doomed '&'
docker-machine create -d metalpool doomed >"$work/doomed.log" 2>&1 &
victim=$!
until metalpool node list --state Deploying 2>/dev/null | grep -q doomed; do
	kill -0 "$victim"
	sleep 0.1
done
show kill -9 "docker-machine and its plugin"
{ # bash itself would say "Killed", at whichever of these lines it finds out
	pkill -KILL -P "$victim" || true # the plugin
	kill -KILL "$victim"
	wait "$victim" || true
} 2>/dev/null
run metalpool machine list
run docker-machine rm -y doomed

step "Give everything back"
run docker-machine rm -y web-1 web-2 web-3
run metalpool reconcile --wait
run metalpool node list
run metalpool check

cat <<EOT

Six servers, none lost: each is Available and erased for its next owner, or Quarantined
with its reason. The one whose disk failed waits for its operator: look at it, then
'metalpool node repair' or 'metalpool node retire'. The BMCs, the Redfish, the SSH and the
disks' contents were real; the hardware and the Docker Engine were simulated.
EOT
