#!/usr/bin/env bash
# generate.sh [DIR] writes the registry's pages on the provider into DIR, by default
# provider-terraform/docs: from its schemas, its templates and its examples. It needs no
# terraform, and no network once Go has the modules.
set -euo pipefail
provider=$(realpath "$(dirname "$0")/../../provider-terraform")
out=$(realpath --relative-to="$provider" "${1:-$provider/docs}") # tfplugindocs looks there from
cd "$provider"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go run ./schemajson >"$work/schemas.json"
if ! go tool -modfile=../tools/terraform-docs/go.mod tfplugindocs generate --provider-name metalpool \
	--providers-schema "$work/schemas.json" --rendered-website-dir "$out" >"$work/log" 2>&1; then
	cat "$work/log" >&2
	exit 1
fi
