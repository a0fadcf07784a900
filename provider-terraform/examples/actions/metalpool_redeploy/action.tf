# terraform apply -invoke=action.metalpool_redeploy.web
action "metalpool_redeploy" "web" {
  config {
    machine_id = metalpool_machine.web.id
    user_data  = metalpool_machine.web.user_data # else it is deployed without

    timeouts {
      invoke = "1h"
    }
  }
}

# Or by itself, whenever there is another build.
resource "terraform_data" "build" {
  input = var.build

  lifecycle {
    action_trigger {
      events  = [after_update]
      actions = [action.metalpool_redeploy.web]
    }
  }
}
