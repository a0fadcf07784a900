# One of each resource, with most of what can be set, and one with what must be set.
# terraform.tfstate is what a provider made of it whose resources had schemas of version 0.
terraform {
  required_providers {
    metalpool = {
      source = "metalpool/metalpool"
    }
  }
}

variable "servers" {
  type = map(object({
    bmc         = string
    user        = string
    address     = string
    ssh_port    = number
    docker_port = number
  }))
}

variable "bmc_passwords" {
  type      = map(string)
  ephemeral = true
}

variable "image" {
  type = string
}

locals {
  key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEdQVC7RBMF5JYcZDrR2zVSpFUs+yP4YSAlOhgmsAr9X test"
}

resource "metalpool_image" "os" {
  name   = "debian-1"
  source = var.image
  user   = "debian"
  boot   = "reboot"

  timeouts {
    create = "20m"
  }
}

resource "metalpool_pool" "kept" {
  name           = "kept"
  default_image  = metalpool_image.os.id
  erase_minimum  = "clear"
  management_key = "always"
  quota          = 9
  phase_timeouts = { check_in = "40m" }
}

resource "metalpool_pool" "plain" {
  name = "plain"
}

resource "metalpool_node" "rack" {
  for_each = var.servers

  name                    = each.key
  pool                    = metalpool_pool.kept.id
  labels                  = { rack = "r1" }
  bmc_url                 = each.value.bmc
  bmc_user                = each.value.user
  bmc_password_wo         = var.bmc_passwords[each.key]
  bmc_password_wo_version = 1
  bmc_insecure            = true
  address                 = each.value.address
  ssh_port                = each.value.ssh_port
  docker_port             = each.value.docker_port
  boot                    = "reboot"
  erase                   = true
  wait_clean              = true

  timeouts {
    create = "1h"
  }
}

resource "metalpool_machine" "whole" {
  name                 = "whole-1"
  pool                 = metalpool_pool.kept.id
  node                 = metalpool_node.rack["n001"].id
  arch                 = "amd64"
  labels               = { tier = "web" }
  image                = metalpool_image.os.id
  hostname             = "front-1"
  ssh_user             = "debian"
  ssh_keys             = [local.key]
  user_data_wo         = "#cloud-config\n"
  user_data_wo_version = 3
  allow_redeploy       = ["image", "user_data_wo_version"]
  power_state          = "on"
  wait                 = "30m"
  wait_for             = "ssh"
  wait_clean           = true

  requirements {
    cpus   = 2
    memory = "1GiB"

    disk {
      size = "1GB"
    }

    nic {
      speed = "1G"
    }

    label {
      key    = "rack"
      op     = "in"
      values = ["r1", "r2"]
    }

    place {
      mode  = "spread"
      label = "rack"
      group = "web"
    }
  }

  timeouts {
    create = "1h"
    delete = "20m"
  }
}

resource "metalpool_machine" "plain" {
  name       = "plain-1"
  pool       = metalpool_pool.kept.id
  ssh_keys   = [local.key]
  user_data  = "#cloud-config\n"
  depends_on = [metalpool_machine.whole] # which has its server by then
}

resource "metalpool_allocation" "db" {
  count = 1

  name          = "db-1"
  pool          = metalpool_pool.kept.id
  labels        = { tier = "db" }
  deploy_within = "1h"
  depends_on    = [metalpool_machine.whole]
}

resource "metalpool_deployment" "db" {
  count = 1

  allocation_id = metalpool_allocation.db[count.index].id
  ssh_keys      = [local.key]
  user_data     = "#cloud-config\n"
}
