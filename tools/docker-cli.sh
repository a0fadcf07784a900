#!/usr/bin/env bash
# Fetches the Docker client of Debian's docker.io to FILE, without installing the package
# and the daemon that comes with it: the demo and the tests talk to Docker Engines that
# run on machines, never here.
# Exit status 69: the package could not be fetched.
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 FILE" >&2; exit 2; }
out=$(realpath -m "$1")
[ ! -x "$out" ] || exit 0
if installed=$(command -v docker); then
	mkdir -p "$(dirname "$out")"
	ln -sf "$installed" "$out"
	exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
	echo "There is no docker, and no apt-get to fetch it with: install Docker's client" >&2
	exit 69
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fetch() { apt-get -q download docker.io; }
# A fresh image holds no lists of packages; those of our own need no root.
mkdir -p lists/partial
fetch 2>/dev/null || {
	own=(-o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User=)
	apt-get -q "${own[@]}" update && apt-get -q "${own[@]}" download docker.io
} >&2 || { echo "Debian's docker.io could not be fetched" >&2; exit 69; }
dpkg-deb --fsys-tarfile docker.io_*.deb | tar -x ./usr/bin/docker
mkdir -p "$(dirname "$out")"
mv usr/bin/docker "$out.new.$$"
mv "$out.new.$$" "$out"
