#!/usr/bin/env bash
# What `make test` runs once everything is built.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$@" >&2; }

unformatted=$(gofmt -l -- */)
if [ -n "$unformatted" ]; then
	say "Not formatted; run gofmt -w on:" "$unformatted"
	exit 1
fi
# Compiled as `make build` does it, or everything would be compiled once more; and with the
# tags of what is seldom run, so that it still builds.
CGO_ENABLED=0 go vet -trimpath -tags bench,campaign,hybrid,ironic,vm ./...
(cd tools/docker-machine && CGO_ENABLED=0 go vet -trimpath ./...)

# The race detector needs cgo, which is off by default where there is no C compiler.
if [ "$(go env CGO_ENABLED)" != 1 ] && [ -z "${CGO_ENABLED:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	say "Installing a C compiler for the race detector"
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get -q update && apt-get -q install -y --no-install-recommends gcc libc6-dev; } >&2 || say "That failed"
fi
# SQLite is C that a program made Go of: nothing of ours runs side by side in there, and to
# watch it makes all that keeps a pool in a file three times as slow.
race=(-race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc/...=-race=false)
if [ "$(go env CGO_ENABLED)" != 1 ]; then
	race=()
	say "Without cgo there is no race detector: install gcc and libc6-dev"
	[ "${CI:-}" != true ] || exit 1
fi

mkdir -p .cache
export METALPOOL_TEST_DOCKER_MACHINE="$PWD/bin/docker-machine"
terraform=${METALPOOL_TEST_TERRAFORM:-$(tools/terraform.sh)}
export METALPOOL_TEST_TERRAFORM="$terraform"
export METALPOOL_TEST_SKIPPED="$PWD/.cache/skipped"
: >"$METALPOOL_TEST_SKIPPED"
status=0
# These wait most of the time, for servers and for the leases of what was killed: last, as
# by their names, they would leave the processors idle for minutes. So they begin, and one
# package more runs at a time than there are processors.
waiting="./provider-terraform ./driver-machine ./core/api/server"
# shellcheck disable=SC2086 # they are words
go test "${race[@]}" -count=1 -timeout 40m -p $(($(getconf _NPROCESSORS_ONLN) + 1)) $waiting ./... || status=$?
# A virtual machine, from firmware to Docker Engine and back. After the rest, and alone:
# without KVM it takes all the processors there are.
go test -tags vm -count=1 -timeout 30m -run '^TestVMSession$' ./driver-machine || status=$?
if [ -s "$METALPOOL_TEST_SKIPPED" ]; then
	say "Skipped (with CI=true these fail):"
	sort "$METALPOOL_TEST_SKIPPED" >&2
fi
exit $status
