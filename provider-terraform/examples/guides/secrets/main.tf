variable "join_token" {
  type      = string
  ephemeral = true # in no state and no plan
}

resource "metalpool_machine" "worker" {
  name     = "worker-1"
  ssh_keys = [file("~/.ssh/id_ed25519.pub")]

  user_data_wo         = "#cloud-config\nruncmd: [[join, ${var.join_token}]]\n"
  user_data_wo_version = 1 # count up to deploy with a new token

  allow_redeploy = ["user_data_wo_version"]
}
