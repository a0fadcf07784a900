# A whole rack from nothing: its servers, their pool, the image that they get, and a
# machine in it. Users of the rack have their machines in configurations of their own.
terraform {
  required_version = ">= 1.11"
  required_providers {
    metalpool = {
      source = "metalpool/metalpool"
    }
  }
}

provider "metalpool" {} # METALPOOL_URL names the pool's store, METALPOOL_OWNER whose the machine is

variable "servers" {
  type = map(object({
    bmc         = string # https://host[:port]
    bmc_user    = optional(string, "root")
    labels      = optional(map(string))
    address     = optional(string) # where these three are not what the server itself has
    ssh_port    = optional(number)
    docker_port = optional(number)
  }))
  description = "The servers, by the names that they are to have."
}

variable "bmc_passwords" {
  type        = map(string)
  sensitive   = true
  ephemeral   = true
  description = "Passwords of the BMCs, by the servers' names: in no state, and in no plan."
}

variable "bmc_password_version" {
  type        = number
  default     = 1
  description = "Count it up with new passwords."
}

variable "image" {
  type = object({
    name   = string
    source = string
    user   = string
  })
  description = "A cloud image, named by its version: a new one is there before the old one goes."
}

variable "ssh_key" {
  type        = string
  default     = "~/.ssh/id_ed25519.pub"
  description = "File with the public key that may log in."
}

resource "metalpool_image" "os" {
  name   = var.image.name
  source = var.image.source
  user   = var.image.user

  lifecycle {
    create_before_destroy = true
  }
}

resource "metalpool_pool" "web" {
  name          = "web"
  default_image = metalpool_image.os.id
}

resource "metalpool_node" "web" {
  for_each = var.servers

  name                    = each.key
  pool                    = metalpool_pool.web.id
  labels                  = each.value.labels
  bmc_url                 = each.value.bmc
  bmc_user                = each.value.bmc_user
  bmc_password_wo         = var.bmc_passwords[each.key]
  bmc_password_wo_version = var.bmc_password_version
  address                 = each.value.address
  ssh_port                = each.value.ssh_port
  docker_port             = each.value.docker_port

  # Yes, erase what is on their disks, and put them to use.
  erase = true
}

resource "metalpool_machine" "first" {
  name     = "web-1"
  pool     = metalpool_pool.web.id
  ssh_keys = [file(var.ssh_key)]

  depends_on = [metalpool_node.web] # any of them
}

output "first" {
  value = "${metalpool_machine.first.node}: ssh -p ${metalpool_machine.first.ssh_port} ${metalpool_machine.first.ssh_user}@${metalpool_machine.first.address}"
}
