#!/usr/bin/env bash
# The main job in Terraform's words, beside docker-machine on one pool: apply, an empty
# plan, a new image on the same server, growth, a machine that somebody gave back, destroy.
# `make demo TF=1` builds and runs it.
#
# It takes the terraform on the PATH, or OpenTofu's tofu.
#
#   IMAGE=disk.img make demo TF=1   lays down your own disk image
#   KEEP=1 make demo TF=1           leaves the rack's folder behind, to look at
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/demo/common.sh

if ! command -v ssh-keygen >/dev/null; then
	echo "This logs in with OpenSSH's client, and there is none: apt-get install openssh-client" >&2
	exit 1
fi
if ! terraform=$(command -v terraform || command -v tofu); then
	echo "There is neither terraform nor tofu on the PATH: install one of them, 1.11 or newer" >&2
	exit 1
fi
export METALPOOL_OWNER=demo CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1 TF_CLI_CONFIG_FILE="$work/terraformrc"
# A registry in a folder, so that nothing is asked of the network.
printf 'provider_installation {\n  filesystem_mirror { path = "%s/registry" }\n}\n' "$work" >"$TF_CLI_CONFIG_FILE"
for host in registry.terraform.io registry.opentofu.org; do
	there="$work/registry/$host/metalpool/metalpool/0.0.1/$(go env GOOS)_$(go env GOARCH)"
	mkdir -p "$there"
	cp bin/terraform-provider-metalpool "$there/terraform-provider-metalpool_v0.0.1"
done
ssh-keygen -q -t ed25519 -N '' -C demo -f "$work/id"
cp examples/terraform/fleet/main.tf "$work"
export TF_VAR_ssh_key="$work/id.pub"

# tf shows what is typed, runs it where the configuration is, and shows of what is said
# the lines that count; all of it where it fails.
tf() {
	show "${terraform##*/}" "$@"
	"$terraform" -chdir="$work" "$@" -no-color 2>&1 | tee "$work/terraform.log" |
		sed -nE '/^(metalpool_machine|Plan:|No changes|(Apply|Destroy) complete|machines = |  "|}|  # metalpool_machine|Terraform has been|OpenTofu has been)/p; s/^.*(Warning: )/\1/p' || {
		cat "$work/terraform.log" >&2
		return 1
	}
}

step "A rack of six servers, each with its own Redfish BMC, enrolled and erased; two images"
start_lab --nodes 6
image=${IMAGE:-}
if [ -z "$image" ]; then
	image="$work/demo.img"
	metalpool lab image "$image"
fi
for name in demo next; do run metalpool image add "$name" --source "$image" --user debian; done
run metalpool pool set default --image demo
run metalpool node enroll --from "$work/lab/rack.yaml" --erase --wait

step "examples/terraform/fleet takes three servers, while docker-machine takes one of the same pool"
"$terraform" version
make_ca
tf init
show docker-machine create -d metalpool builder '&'
docker-machine create -d metalpool builder >"$work/builder.log" 2>&1 &
builder=$!
tf apply -auto-approve -var machines=3
wait "$builder"
run metalpool machine list

step "The same again is nothing to do"
tf plan -detailed-exitcode -var machines=3

step "Log in to each: their host keys are outputs, so nothing is taken on trust"
show "${terraform##*/} output -raw known_hosts >known_hosts"
"$terraform" -chdir="$work" output -raw known_hosts >"$work/known_hosts"
while read -r port host; do
	run ssh -F none -i "$work/id" -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$work/known_hosts" -p "$port" "debian@$host" hostname </dev/null
done < <(sed -nE 's/^\[(.*)\]:([0-9]+) ssh-ed25519 .*/\2 \1/p' "$work/known_hosts")

step "A new image for one machine: the same server, written anew"
tf apply -auto-approve -var machines=3 -var image=next -target 'metalpool_machine.web[0]'
run metalpool machine list

step "Two more: the rack is full"
tf apply -auto-approve -var machines=5

step "Somebody gives a machine back by hand; the next apply takes one again, once it is erased"
run metalpool machine release web-2
tf apply -auto-approve -var machines=5
tf plan -detailed-exitcode -var machines=5

step "Give everything back"
tf destroy -auto-approve
run docker-machine rm -y builder
run metalpool reconcile --wait
run metalpool node list
run metalpool check
