# A new version is another image: it is there before the one that machines had goes.
locals {
  debian = "20260101"
}

resource "metalpool_image" "debian" {
  name   = "debian-12-${local.debian}"
  source = "/srv/images/debian-12-genericcloud-amd64-${local.debian}.qcow2"
  user   = "debian"

  lifecycle {
    create_before_destroy = true
  }
}

resource "metalpool_pool" "default" {
  name          = "default"
  default_image = metalpool_image.debian.id
}
