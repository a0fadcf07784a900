# terraform query
# terraform query -generate-config-out=machines.tf
list "metalpool_machine" "web" {
  provider = metalpool

  config {
    pool   = "default"
    labels = { tier = "web" }
  }
}
