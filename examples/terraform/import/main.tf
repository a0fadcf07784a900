# A machine that docker-machine or `metalpool machine create` made, from now on kept by
# Terraform. Have its block written for you first:
#
#   terraform plan -generate-config-out=machine.tf
#
# The plan after that imports the machine, and changes nothing.
terraform {
  required_version = ">= 1.11"
  required_providers {
    metalpool = {
      source = "metalpool/metalpool"
    }
  }
}

provider "metalpool" {} # METALPOOL_URL names the pool, METALPOOL_OWNER whose the machine is

import {
  to = metalpool_machine.db
  id = "db-1" # a name of this owner's, as OWNER/NAME anybody's, or an ID
}
