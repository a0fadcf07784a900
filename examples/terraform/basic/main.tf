# One server. `terraform apply` takes it and deploys the pool's default image,
# `terraform destroy` gives it back, and it is erased.
terraform {
  required_version = ">= 1.11"
  required_providers {
    metalpool = {
      source = "metalpool/metalpool"
    }
  }
}

provider "metalpool" {} # METALPOOL_URL names the pool, METALPOOL_OWNER whose the server is

resource "metalpool_machine" "web" {
  name     = "web-1"
  ssh_keys = [file("~/.ssh/id_ed25519.pub")]
}

output "ssh" {
  value = "ssh -p ${metalpool_machine.web.ssh_port} ${metalpool_machine.web.ssh_user}@${metalpool_machine.web.address}"
}
