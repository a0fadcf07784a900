resource "metalpool_allocation" "build" {
  name = "build-1"
}

# If this fails, the next apply deploys the same server anew.
resource "metalpool_deployment" "build" {
  allocation_id = metalpool_allocation.build.id
  ssh_keys      = [file("~/.ssh/id_ed25519.pub")]
  hostname      = "build"
}

output "build" {
  value = "ssh -p ${metalpool_deployment.build.ssh_port} ${metalpool_deployment.build.ssh_user}@${metalpool_deployment.build.address}"
}
