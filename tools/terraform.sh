#!/usr/bin/env bash
# Prints which terraform to use: the one on the PATH, else OpenTofu's tofu there, else
# bin/tofu, built where it is not there yet.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$@" >&2; }

for name in terraform tofu; do
	if ! program=$(type -P "$name"); then
		say "There is no $name on the PATH"
		continue
	fi
	version=$(CHECKPOINT_DISABLE=1 TF_CLI_CONFIG_FILE=/dev/null "$program" version | sed -nE '1s/^(Terraform|OpenTofu) v//p') || true
	if ! [[ $version =~ ^([0-9]+)\.([0-9]+) ]]; then
		say "$program tells no version"
	elif [ "${BASH_REMATCH[1]}" -gt 1 ] || [ "${BASH_REMATCH[2]}" -ge 11 ]; then
		[ "$name" = terraform ] || say "$program is taken"
		printf '%s\n' "$program"
		exit 0
	else
		say "$program is $version, and the provider wants 1.11 or newer"
	fi
done
say "OpenTofu's bin/tofu is taken"
"${MAKE:-make}" --no-print-directory --silent opentofu >&2
printf '%s\n' "$PWD/bin/tofu"
