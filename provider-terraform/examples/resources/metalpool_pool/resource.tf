resource "metalpool_pool" "ci" {
  name          = "ci"
  default_image = "debian-12"
  erase_minimum = "purge"
  quota         = 8

  # These servers take long for their self-test.
  phase_timeouts = {
    check_in = "40m"
  }
}
