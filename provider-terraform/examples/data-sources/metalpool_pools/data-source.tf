data "metalpool_pools" "all" {}

output "default_images" {
  value = { for p in data.metalpool_pools.all.pools : p.name => p.default_image }
}
