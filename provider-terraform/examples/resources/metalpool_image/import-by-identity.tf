import {
  to = metalpool_image.debian
  identity = {
    name = "debian-12-20260101"
  }
}
