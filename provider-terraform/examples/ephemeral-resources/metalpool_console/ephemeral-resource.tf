data "metalpool_machine" "db" {
  owner = "team-b/prod"
  name  = "db-1"
}

ephemeral "metalpool_console" "db" {
  machine_id = data.metalpool_machine.db.id
  owner      = data.metalpool_machine.db.owner
  lines      = 100

  lifecycle {
    postcondition {
      condition     = !strcontains(self.text, "Kernel panic")
      error_message = "db-1 did not start; see its console."
    }
  }
}

# What it said goes to a file, and not into the state.
resource "terraform_data" "boot_log" {
  triggers_replace = data.metalpool_machine.db.ssh_host_key # new with each deploy

  provisioner "local-exec" {
    command     = "printf %s \"$TEXT\" > ${path.module}/db-1.log"
    environment = { TEXT = ephemeral.metalpool_console.db.text }
  }
}
