# terraform apply -invoke=action.metalpool_power.restart
action "metalpool_power" "restart" {
  config {
    machine_id = metalpool_machine.web.id
    power      = "restart"
  }
}
