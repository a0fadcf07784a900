#!/usr/bin/env bash
# Five servers at once (COUNT: another number): take them, use them, give them back.
#
#   ./parallel.sh
#   COUNT=3 ./parallel.sh --metalpool-pool ci --metalpool-wait 30m
#
# The environment is that of one.sh. NAME is what the machines' names start with.
set -euo pipefail
: "${METALPOOL_URL:?names no pool; set it to the path of a pool.db or the URL of a server}"
count=${COUNT:-5}
prefix=${NAME:-metalpool-five}

names=()
for ((i = 1; i <= count; i++)); do names+=("$prefix-$i"); done

# each COMMAND...: runs COMMAND NAME for all machines side by side, and fails if one did.
each() {
	local name pid failed=0 pids=()
	for name in "${names[@]}"; do
		"$@" "$name" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
	return "$failed"
}

# exec, so that what give_back ends is docker-machine itself.
create() { exec docker-machine create -d metalpool "$@"; }
show() { docker-machine ssh "$1" cat /etc/hostname; }
remove() {
	! docker-machine inspect "$1" >/dev/null 2>&1 || docker-machine rm -y "$1"
}

# The first create makes docker-machine's own CA, and several first ones race: each
# makes one, and the certificates of all but the last do not match it. A machine of
# the driver "none" is a record and no more, but it has the CA made.
docker-machine create -d none --url tcp://localhost:2376 "$prefix-ca" >/dev/null
docker-machine rm -f "$prefix-ca" >/dev/null

give_back() {
	status=$?
	# Ctrl-C reaches this script, not what runs in its background.
	jobs -p | xargs kill 2>/dev/null || true
	wait
	each remove || status=1
	exit "$status"
}
trap give_back EXIT

# No two of them get the same server, from whichever hosts they run.
each create "$@"
docker-machine ls --filter "name=^$prefix-"
each show
