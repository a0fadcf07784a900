#!/usr/bin/env bash
# Installs Debian's Ironic for `make test-ironic`, without starting what it pulls in
# (tftpd-hpa, xinetd): the test runs an Ironic of its own.
set -euo pipefail
command -v ironic >/dev/null && command -v ironic-dbsync >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "Ironic is not installed; as root on Debian 12: apt-get install ironic-api ironic-conductor" >&2
	exit 1
fi
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y --no-install-recommends ironic-api ironic-conductor
