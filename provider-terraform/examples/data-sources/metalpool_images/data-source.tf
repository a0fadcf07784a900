data "metalpool_images" "all" {}

output "images" {
  value = data.metalpool_images.all.images[*].name
}
