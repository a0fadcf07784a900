# Machines spread over racks, and rolled to a new image on the servers they have.
terraform {
  required_version = ">= 1.11"
  required_providers {
    metalpool = {
      source = "metalpool/metalpool"
    }
  }
}

provider "metalpool" {} # METALPOOL_URL names the pool, METALPOOL_OWNER whose the servers are

variable "machines" {
  type        = number
  default     = 10
  description = "How many."
}

variable "image" {
  type        = string
  default     = null
  description = "Image of the pool's catalogue; the pool's default when a machine is created."
}

variable "ssh_key" {
  type        = string
  default     = "~/.ssh/id_ed25519.pub"
  description = "File with the public key that may log in."
}

resource "metalpool_machine" "web" {
  count = var.machines

  name     = "web-${count.index + 1}"
  ssh_keys = [file(var.ssh_key)]
  image    = var.image
  labels   = { tier = "web" }

  requirements {
    memory = "1GiB"

    place {
      mode  = "spread"
      label = "rack"
      group = "web"
    }
  }

  # A new image is written to the same server, whose other disks stay as they are.
  allow_redeploy = ["image"]
}

output "machines" {
  value = { for m in metalpool_machine.web : m.name => "${m.image} on ${m.node}, ssh -p ${m.ssh_port} ${m.ssh_user}@${m.address}" }
}

output "known_hosts" {
  value = join("", metalpool_machine.web[*].ssh_known_hosts)
}
