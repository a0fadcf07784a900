variable "debug" {
  type    = bool
  default = false
}

output "user_data" {
  value = provider::metalpool::merge_cloud_init(
    "#cloud-config\npackages: [git]\n",
    var.debug ? "#cloud-config\npackages: [strace]\n" : "",
  )
}
