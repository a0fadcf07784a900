variable "ssh_key" {
  type        = string
  description = "Public key that may log in."
}

resource "metalpool_machine" "web" {
  name     = "web-1"
  ssh_keys = [var.ssh_key]

  requirements {
    cpus   = 4
    memory = "8GiB"
  }

  user_data = <<-EOT
    #cloud-config
    write_files:
    - path: /etc/motd
      content: Taken by Terraform.
  EOT
  wait_for  = "cloud_init"

  # A change of these writes the same server anew; of others, see their docs.
  allow_redeploy = ["image", "user_data"]
}

output "ssh" {
  value = "ssh -p ${metalpool_machine.web.ssh_port} ${metalpool_machine.web.ssh_user}@${metalpool_machine.web.address}"
}

output "known_hosts" {
  value = metalpool_machine.web.ssh_known_hosts
}
