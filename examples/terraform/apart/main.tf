# A server that is kept, whatever becomes of what is deployed on it.
terraform {
  required_version = ">= 1.11"
  required_providers {
    metalpool = {
      source = "metalpool/metalpool"
    }
  }
}

provider "metalpool" {} # METALPOOL_URL names the pool, METALPOOL_OWNER whose the server is

variable "image" {
  type        = string
  default     = null
  description = "Image of the pool's catalogue, by default the pool's. Another one is deployed on the same server."
}

resource "metalpool_allocation" "db" {
  name          = "db-1"
  deploy_within = "72h" # an empty server is given back after that
}

resource "metalpool_deployment" "db" {
  allocation_id = metalpool_allocation.db.id
  image         = var.image
  ssh_keys      = [file("~/.ssh/id_ed25519.pub")]
}

output "ssh" {
  value = "ssh -p ${metalpool_deployment.db.ssh_port} ${metalpool_deployment.db.ssh_user}@${metalpool_deployment.db.address}"
}
