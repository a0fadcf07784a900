# terraform apply -invoke=action.metalpool_release.web
action "metalpool_release" "web" {
  config {
    machine_id          = metalpool_machine.web.id
    deletion_protection = metalpool_machine.web.deletion_protection
    wait_clean          = true
  }
}
