#!/usr/bin/env bash
# One server: take it, log in, give it back erased.
#
#   ./one.sh                                          any server of the pool
#   ./one.sh --metalpool-cpus 16 --metalpool-memory 64GiB
#   ./one.sh --metalpool-labels 'rack=r1,gpu!=none' --metalpool-disk '1x480GB,ssd'
#
# It needs docker-machine and docker-machine-driver-metalpool on PATH, and in the
# environment METALPOOL_URL, the path of the pool. NAME names the machine.
set -euo pipefail
: "${METALPOOL_URL:?names no pool; set it to the path of a pool.db}"
name=${NAME:-metalpool-one}

# A create that failed half-way leaves docker-machine a record of the machine, and
# the pool perhaps a server at work. `rm` ends both, so it runs however we leave.
give_back() {
	status=$?
	if docker-machine inspect "$name" >/dev/null 2>&1; then
		docker-machine rm -y "$name" || status=1
	fi
	exit "$status"
}
trap give_back EXIT

docker-machine create -d metalpool "$@" "$name"
docker-machine ls --filter "name=^$name\$"
docker-machine ssh "$name" cat /etc/hostname
