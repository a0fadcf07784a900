variable "bmc_password" {
  type        = string
  sensitive   = true
  ephemeral   = true
  description = "Password of the BMCs: in no state, and in no plan."
}

# A rack of forty.
resource "metalpool_node" "r1" {
  for_each = { for n in range(1, 41) : format("r1-n%02d", n) => "10.0.0.${n}" }

  name                    = each.key
  bmc_url                 = "https://${each.value}"
  bmc_user                = "operator"
  bmc_password_wo         = var.bmc_password
  bmc_password_wo_version = 1
  labels                  = { rack = "r1" }

  # Yes, erase what is on their disks, and put them to use.
  erase = true
}
