terraform {
  required_providers {
    metalpool = {
      source = "metalpool/metalpool"
    }
  }
}

# Each of these is read from the environment where it is left out: METALPOOL_URL and
# METALPOOL_OWNER.
provider "metalpool" {
  url   = "/var/lib/metalpool/pool.db"
  owner = "team-a/prod"
}
