# One workload, on cloud VMs and on servers of one's own. Which machine is where is one
# variable, and what runs on them is said once.
terraform {
  required_version = ">= 1.11"
  required_providers {
    hcloud = {
      source = "hetznercloud/hcloud"
    }
    metalpool = {
      source = "metalpool/metalpool"
    }
  }
}

provider "hcloud" {}    # HCLOUD_TOKEN
provider "metalpool" {} # METALPOOL_URL, METALPOOL_OWNER

variable "machines" {
  type        = map(string)
  default     = { web-1 = "cloud", web-2 = "cloud", web-3 = "metal" }
  description = "Each machine is in the cloud, on metal, or both: to move one without a gap, say both first."

  validation {
    condition     = alltrue([for where in values(var.machines) : contains(["cloud", "metal", "both"], where)])
    error_message = "A machine is in the cloud, on metal, or both."
  }
}

variable "ssh_key" {
  type        = string
  default     = "~/.ssh/id_ed25519.pub"
  description = "File with the public key that may log in."
}

locals {
  cloud = toset([for name, where in var.machines : name if where != "metal"])
  metal = toset([for name, where in var.machines : name if where != "cloud"])

  # What all of them run, and what only those of one kind do.
  workload = file("${path.module}/workload.yaml")
  on_metal = "#cloud-config\npackages: [smartmontools]\n"
}

resource "hcloud_ssh_key" "admin" {
  name       = "admin"
  public_key = trimspace(file(var.ssh_key))
}

resource "hcloud_server" "web" {
  for_each = local.cloud

  name        = each.key
  server_type = "cx23"
  image       = "debian-12"
  ssh_keys    = [hcloud_ssh_key.admin.id]
  user_data   = local.workload
  labels      = { tier = "web" }
}

resource "metalpool_machine" "web" {
  for_each = local.metal

  name      = each.key
  ssh_keys  = [file(var.ssh_key)]
  user_data = provider::metalpool::merge_cloud_init(local.workload, local.on_metal)
  labels    = { tier = "web" }

  requirements {
    cpus   = 4
    memory = "8GiB"
  }

  allow_redeploy = ["user_data"]
}

# For a load balancer: the machines that there are, wherever.
output "addresses" {
  value = {
    for name in keys(var.machines) : name => compact([
      try(hcloud_server.web[name].ipv4_address, ""),
      try(metalpool_machine.web[name].address, ""),
    ])
  }
}
