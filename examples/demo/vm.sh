#!/usr/bin/env bash
# The main job on virtual machines: firmware, boot media, the real ramdisk, real disks, a
# real Debian and a real Docker Engine. `make demo VM=1` builds and runs it. Without KVM
# it takes about a quarter of an hour on two cores of its own.
#
#   IMAGE=disk.img make demo VM=1   lays down your own disk image (with cloud-init and Docker)
#   KEEP=1 make demo VM=1           leaves the rack's folder behind, to look at
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/demo/common.sh

step "Two virtual machines, each behind its own Redfish BMC"
start_lab --vm --nodes 2
run metalpool lab status

step "An image, and the servers: their disks are erased by the real ramdisk before their first use"
run metalpool image add debian --source "${IMAGE:-bin/debian-12-docker.raw}" --user debian
run metalpool pool set default --image debian
run metalpool node enroll --from "$work/lab/rack.yaml" --erase --wait
run metalpool node list

# What the first owner leaves on the disk, and the second must not find.
mark="mark-$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')"

# on NAME runs docker against the machine's engine, over TLS.
on() {
	name=$1
	shift
	show "eval \"\$(docker-machine env $name)\"; $(typed docker "$@")"
	(
		settings=$(docker-machine env --shell bash "$name")
		eval "$settings"
		docker "$@"
	)
}

make_ca
for name in web-1 web-2; do # one after the other: two first boots at once starve each other without KVM
	step "docker-machine creates $name"
	run docker-machine create -d metalpool "$name"
	run docker-machine ssh "$name" "uname -sr; grep PRETTY_NAME /etc/os-release"
	on "$name" info --format 'Docker Engine {{.ServerVersion}} on {{.OperatingSystem}}, {{.NCPU}} CPUs'

	step "A container on it, from a root file system of one program"
	show "tar -C bin -c metalpool | docker import - hello"
	(
		settings=$(docker-machine env --shell bash "$name")
		eval "$settings"
		tar -C bin -c metalpool | docker import - hello
	)
	on "$name" run --rm hello /metalpool version
	run docker-machine ssh "$name" "echo $mark-$name | sudo tee /var/lib/$mark-$name >/dev/null; sudo sync"

	step "Stop, start, restart"
	run docker-machine stop "$name"
	run docker-machine ls
	run docker-machine start "$name"
	run docker-machine restart "$name"
	on "$name" images --format '{{.Repository}} is still there'
	run metalpool machine show "$name"
done

step "Give them back: off, ramdisk, every disk erased and verified"
run docker-machine rm -y web-1 web-2
run metalpool reconcile --wait
run metalpool node list

step "What can be found on the disks, from outside the machines"
for disk in "$work"/lab/nodes/*/disk*.img; do
	# With -z: without it, gigabytes of zeros are one line, which grep holds in memory.
	found=$(grep -azc "$mark" "$disk") || [ $? = 1 ] # 1: it was read to its end, and there is none
	if [ "$found" != 0 ]; then
		printf 'The mark of an owner is still on %s\n' "$disk" >&2
		exit 1
	fi
	printf '%s: nothing of its owners\n' "${disk#"$work/lab/nodes/"}"
done

step "Another owner takes a server that web-1 or web-2 had, and looks for them"
export METALPOOL_OWNER=somebody-else
run docker-machine create -d metalpool other
# In brackets, the pattern does not match itself in the log that sudo keeps of it.
run docker-machine ssh other "lsblk -dnpo NAME,TYPE | while read -r disk type; do
	[ \$type = disk ] || continue
	found=\$(sudo grep -azc '[m]${mark#m}' \$disk </dev/null)
	echo \"\$disk: found \${found:-(not read)} times\"
	[ \"\$found\" = 0 ] || exit 1
done"
run docker-machine rm -y other
run metalpool reconcile --wait
run metalpool check

cat <<EOT

Firmware, ramdisk, disks, Debian and Docker Engine were real; the BMCs were the lab's.
EOT
