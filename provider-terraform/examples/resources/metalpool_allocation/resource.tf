# Taken now, deployed later, or again and again.
resource "metalpool_allocation" "db" {
  name          = "db-1"
  deploy_within = "72h"
  labels        = { tier = "database" }

  requirements {
    memory = "1GiB"
  }
}

output "server" {
  value = metalpool_allocation.db.node
}
