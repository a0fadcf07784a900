resource "metalpool_machine" "db" {
  name     = "db-1"
  ssh_keys = [file("~/.ssh/id_ed25519.pub")]

  connection {
    host     = self.address
    port     = self.ssh_port
    user     = self.ssh_user
    host_key = self.ssh_host_key
  }

  provisioner "remote-exec" {
    inline = ["sudo systemctl is-system-running --wait"]
  }
}

# terraform output -raw known_hosts >known_hosts
output "known_hosts" {
  value = metalpool_machine.db.ssh_known_hosts
}
