#!/usr/bin/env bash
# Runs each fuzz test of this module for the time that the argument names: go
# test takes one at a time.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:?usage: tools/fuzz.sh DURATION}
for package in $(go list ./...); do
	for name in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "$package $name for $time"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package"
	done
done
