import {
  to = metalpool_image.debian
  id = "debian-12-20260101"
}
