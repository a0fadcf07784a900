terraform {
  required_providers {
    metalpool = {
      source = "metalpool/metalpool"
    }
  }
}

# Each of these is read from the environment where it is left out: METALPOOL_URL and
# METALPOOL_OWNER. For the https:// address of a server that is METALPOOL_URL,
# METALPOOL_TOKEN and METALPOOL_FINGERPRINT; the token tells the owner.
provider "metalpool" {
  url   = "/var/lib/metalpool/pool.db"
  owner = "team-a/prod"
}
