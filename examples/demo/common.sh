#!/usr/bin/env bash
# What the demos share: a folder of their own, a rack that ends with them, and commands
# that are shown before they run. Sourced by run.sh and vm.sh.
PATH="$PWD/bin:$PATH"

work=$(mktemp -d "${TMPDIR:-/tmp}/metalpool-demo.XXXXXX")
export METALPOOL_URL="$work/pool.db" METALPOOL_LAB="$work/lab"
export MACHINE_STORAGE_PATH="$work/machine"
export MACHINE_BUGSNAG_API_TOKEN=no-report
mkdir -p "$MACHINE_STORAGE_PATH"

bold='' dim='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'; fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() { printf '%s$ %s%s\n' "$dim" "$*" "$plain"; }
run() {
	show "$(typed "$@")"
	"$@"
}

# typed prints a command as one types it.
typed() {
	local arg line=''
	for arg; do
		case $arg in *[!A-Za-z0-9_@%+=:,./-]* | '') arg="'${arg//\'/\'\\\'\'}'" ;; esac
		line+=" $arg"
	done
	printf '%s\n' "${line# }"
}

finish() {
	status=$?
	# The lab, and what else is still at work where the demo failed.
	{ kill $(jobs -p) && wait; } 2>/dev/null || true
	if [ "$status" != 0 ]; then
		printf '\nThe demo failed. Its folder is kept, with the log of the rack (lab.log): %s\n' "$work" >&2
	elif [ -n "${KEEP:-}" ]; then
		printf '\nThe folder is kept: %s\n' "$work"
	else
		rm -rf "$work"
	fi
	exit "$status"
}
trap finish EXIT

# start_lab runs a lab with the given flags and returns when it answers.
start_lab() {
	metalpool lab up "$@" >"$work/lab.log" 2>&1 &
	local lab=$!
	until metalpool lab status >/dev/null 2>&1; do
		if ! kill -0 "$lab" 2>/dev/null; then
			cat "$work/lab.log" >&2
			return 1
		fi
		sleep 0.1
	done
}

# Parallel first creates race on docker-machine's own CA, so it is made before.
make_ca() {
	docker-machine create -d none --url tcp://localhost:2376 ca >/dev/null
	docker-machine rm -f ca >/dev/null
}
