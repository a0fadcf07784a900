#!/usr/bin/env bash
# The demo's Terraform: the one on the PATH, else OpenTofu, and the provider in a registry
# that is a folder, so that nothing is asked of the network. Sourced by run.sh.
terraform=$(tools/terraform.sh)
tf=${terraform##*/}

export CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1 TF_CLI_ARGS=-no-color TF_CLI_CONFIG_FILE="$work/terraformrc"
printf 'provider_installation {\n  filesystem_mirror { path = "%s/registry" }\n}\n' "$work" >"$TF_CLI_CONFIG_FILE"
for host in registry.terraform.io registry.opentofu.org; do
	there="$work/registry/$host/metalpool/metalpool/0.0.1/$(go env GOOS)_$(go env GOARCH)"
	mkdir -p "$there"
	cp bin/terraform-provider-metalpool "$there/terraform-provider-metalpool_v0.0.1"
done

# tf shows what is typed and runs it; of what is said it shows the lines that count, and
# all of it where it fails.
tf() {
	show "$(typed "$tf" "$@")"
	"$terraform" "$@" 2>&1 | tee "$work/terraform.log" |
		sed -nE '/^(metalpool_machine|(│ )?Warning: Machine |Plan:|No changes|(Apply|Destroy) complete|machines = |  "|\}|  # metalpool_machine|(Terraform|OpenTofu) has been)/p' || {
		cat "$work/terraform.log" >&2
		return 1
	}
}
